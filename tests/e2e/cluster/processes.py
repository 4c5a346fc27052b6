"""Processes of a cluster: started to outlive whoever starts them, and found again by a mark in their environment.

The mark is in the process from its first instant, so also what a killed start left behind is found; and nothing that
somebody else started is ever touched.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

MARK: Final = "MODELOPS_TEST_CLUSTER_PROCESS"
_CGROUP: Final = "/modelops-cluster/"


def start(
    root: Path, command: Sequence[str], log: Path, more: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process of the cluster below a directory; what it says is appended to the log.

    Args:
        root: the cluster's directory.
        command: the program and its arguments.
        log: made with its directory.
        more: variables beside those of this process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **(more or {}), MARK: str(root)}
    with log.open("ab") as out:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, start_new_session=True, cwd="/"
        )


def marked(root: Path) -> dict[int, str]:
    """Return the processes of the cluster below a directory: pid → program."""
    wanted = f"{MARK}={root}".encode()
    found = {}
    for pid in _pids():
        with contextlib.suppress(OSError):  # it ended meanwhile
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
    return found


def contained() -> list[int]:
    """Return the processes in the cgroups of our nodes' pods."""
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            if _CGROUP in Path(f"/proc/{pid}/cgroup").read_text():
                found.append(pid)
    return found


def of_container(identifier: str) -> list[int]:
    """Return the processes of a container by its id, if this machine runs them: also those of kind's nodes."""
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            if identifier in Path(f"/proc/{pid}/cgroup").read_text():
                found.append(pid)
    return found


def said(root: Path, words: str) -> list[int]:
    """Return the processes of the cluster below a directory whose command line has these words."""
    found = []
    for pid in marked(root):
        with contextlib.suppress(OSError):
            if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                found.append(pid)
    return found


def end(pids: Iterable[int], patience: float = 10) -> None:
    """End processes; who does not go within the patience (seconds) is killed.

    Raises:
        RuntimeError: one cannot be killed; it waits for the kernel.
    """
    left = list(pids)
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while left := [pid for pid in left if _runs(pid)]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        if not left:
            return
    raise RuntimeError(f"processes {', '.join(map(str, left))} do not end")


def clear(root: Path) -> None:
    """End the processes of the cluster below a directory, and remove the directory."""
    end(marked(root), patience=3)
    if root.exists():
        shutil.rmtree(root)


def _pids() -> list[int]:
    found = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in found if pid != os.getpid()]


def _runs(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (OSError, IndexError):
        return False
