"""How the process ends: in time, whatever its threads are waiting for; unasked, with one line that says why.

Python waits at its exit for every thread that runs a call; a fetch of git may take a minute. Nothing is lost by not
waiting: writes are fenced before, and what was begun is gone on with by whoever comes next.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final

_log: Final = logging.getLogger(__name__)


def heed_signals(stopping: asyncio.Event, seconds: float) -> None:
    """Set an event at SIGTERM and SIGINT, and end the process so many seconds later if it has not ended by then."""

    def stop() -> None:
        if not stopping.is_set():
            why = f"a call still hangs {seconds:g} s after the signal to stop"
            last = threading.Timer(seconds, end_now, [0, why])
            last.daemon = True
            last.start()
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def end_now(code: int, why: str = "") -> None:
    """End the process without waiting for its threads."""
    if why:
        _log.warning("%s; this process ends without it", why)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


def ends_the_process(code: int) -> Callable[[str], None]:
    """Return a function that ends the process at once, whatever its threads are doing, and says why in one line."""
    once = threading.Lock()

    def end(why: str) -> None:
        # Never released: a second thread that gets here waits until the process is gone.
        once.acquire()
        _log.error("leadership lost: %s; this process ends, whoever starts it again gets one that stands by", why)
        os._exit(code)

    return end
