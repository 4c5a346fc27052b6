"""What the local controllers' entry points share: arguments, logging, signals."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from modelops.adapters.cluster import KubeClient
from modelops.errors import ModelopsError


class Controller(Protocol):
    """Something that runs until it is stopped."""

    def run(self) -> None:
        """Run until `stop`."""
        ...

    def stop(self) -> None:
        """End soon; called from another thread."""
        ...


def run_controller(build: Callable[[KubeClient, Path], Controller]) -> int:
    """Parse the arguments, build the controller, run it until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state-dir", type=Path, required=True)
    state = parser.parse_args().state_dir
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    try:
        controller = build(KubeClient.from_kubeconfig(), state)
    except ModelopsError as error:
        sys.stderr.write(f"modelops: {error.message}\n")
        return 2
    return _run(controller)


def _run(controller: Controller) -> int:
    """Run in a thread of its own: a signal handler interrupts the main one, and must find no lock held there.

    The kernel may give a signal to any thread, and Python's handler runs only once the main one wakes. So the byte that
    wakes it is written by the interpreter's own handler, in whatever thread that runs.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    signal.set_wakeup_fd(told)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    with ThreadPoolExecutor(1, thread_name_prefix="controller") as pool:
        running = pool.submit(controller.run)
        running.add_done_callback(lambda _: os.write(told, b"."))
        os.read(heard, 1)
        controller.stop()
        running.result()
    return 0
