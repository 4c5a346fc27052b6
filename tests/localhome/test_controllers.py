"""How a local controller ends."""

import subprocess
import sys

import pytest

_CONTROLLER = """
import os, signal, sys, threading, time
from modelops.localhome import controllers

class Deaf:
    stopped = threading.Event()
    def run(self):
        time.sleep(0.3)  # until the main thread waits
        {signal}
        assert self.stopped.wait(20)
    def stop(self):
        self.stopped.set()

sys.argv = ["controller", "--state-dir", "."]
controllers.KubeClient.from_kubeconfig = lambda: None
sys.exit(controllers.run_controller(lambda client, state: Deaf()))
"""


@pytest.mark.parametrize(
    "sent",
    ["os.kill(os.getpid(), signal.SIGTERM)", "signal.pthread_kill(threading.get_ident(), signal.SIGTERM)"],
    ids=["to the process", "to another thread than the main one"],
)
def test_a_signal_ends_it_whichever_thread_gets_it(sent: str) -> None:
    """The kernel chooses the thread."""
    argv = [sys.executable, "-c", _CONTROLLER.format(signal=sent)]
    ended = subprocess.run(argv, capture_output=True, timeout=40, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
