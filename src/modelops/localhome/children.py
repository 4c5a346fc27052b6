"""Child processes that never outlive us unseen: own session, recorded by pid and start time, ended as a group.

Used by the supervisor, the process controller and the workflow engine.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Return whether nobody listens on a loopback port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None if there is none (a zombie counts as none).

    Source: proc(5), field 22 of /proc/PID/stat.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def alive(pid: int, started: int) -> bool:
    """Return whether this very process still runs; a recycled pid does not count."""
    return start_time(pid) == started


def spawn(
    argv: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path | None = None, dies_with_us: bool = True
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, with its output appended to a log file.

    Args:
        argv: program and arguments; no shell takes part.
        env: the whole environment.
        log: gets stdout and stderr.
        cwd: working directory.
        dies_with_us: whether the kernel ends the child when this process dies, however it dies.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(argv),
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_die_with_parent if dies_with_us else None,  # noqa: PLW1509 - one async-signal-safe system call
        )


_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def end_group(pid: int, *, grace_seconds: float) -> None:
    """End a process and its whole session: SIGTERM, then SIGKILL for what is left after the grace."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline and _group_alive(pid):
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _group_alive(group: int) -> bool:
    return any(int(fields[2]) == group and fields[0] != "Z" for fields in _stats())


def _stats() -> Iterator[list[str]]:
    """Yield every process' fields of proc(5) stat from the third, its state, on."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                yield (entry / "stat").read_text().rpartition(")")[2].split()


def record(path: Path, pid: int, **more: str | int) -> None:
    """Write down a child, so that a successor of this process can find it.

    Args:
        path: where.
        pid: the child's.
        more: what the successor has to know to take it over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"pid": pid, "startTime": start_time(pid), "boot": _boot(), **more}))
    fresh.replace(path)


def recorded(path: Path) -> dict[str, Any] | None:
    """Return what was written down of a child that still runs and is still that one; None otherwise."""
    try:
        written = json.loads(path.read_text())
        is_it = written["boot"] == _boot() and alive(written["pid"], written["startTime"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return dict(written) if is_it else None


class Adopted:
    """A process that a predecessor of ours started: not our child, so nobody tells us its exit code.

    Args:
        pid: its pid.
        started: its start time; a recycled pid does not count.
    """

    def __init__(self, pid: int, started: int) -> None:
        self.pid = pid
        self._started = started

    def poll(self) -> int | None:
        """Return None while it runs, then -1: its exit code went to somebody else."""
        return None if alive(self.pid, self._started) else -1


def marked(name: str, value: str) -> Iterator[int]:
    """Yield the leaders of sessions whose environment has `name=value`: children that nobody lived to write down."""
    wanted = f"{name}={value}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            pid = int(entry.name)
            if wanted in (entry / "environ").read_bytes().split(b"\0") and os.getsid(pid) == pid:
                yield pid


def end_recorded(path: Path, *, grace_seconds: float = 5) -> None:
    """End the child that a predecessor wrote down, and what it left behind, if it is still that one; forget it."""
    try:
        written = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return
    pid, started = written["pid"], written.get("startTime")
    if started is not None and (alive(pid, started) or _orphaned(pid, started, written.get("boot"))):
        end_group(pid, grace_seconds=grace_seconds)
    path.unlink(missing_ok=True)


def _orphaned(pid: int, started: int, boot: str | None) -> bool:
    """Return whether a child is dead but its session, which nobody else can have joined, is not.

    While anyone is in the session the kernel gives its number to no other process. `boot` guards against a number
    from before a restart of the machine.
    """
    if boot is None or boot != _boot() or start_time(pid) is not None:
        return False
    members = [fields for fields in _stats() if int(fields[2]) == int(fields[3]) == pid and fields[0] != "Z"]
    return bool(members) and all(int(fields[19]) >= started for fields in members)


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
