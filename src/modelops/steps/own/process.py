"""Runs a program of a team's, bounded in words, disk, time and descendants, and without anything secret.

Called by `code` and `predict`. It never runs anything of ours: what it starts is hostile until it has ended.
"""

import ctypes
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from modelops.steps.context import BAD_INPUT, StepFailedError

MAX_WORDS: Final = 5 << 20
"""Bytes of a program's own words that are kept in the log."""
_NOT_GIVEN: Final = ("MODELOPS_", "MLFLOW_", "KUBE", "GIT_", "AWS_", "AZURE_", "GOOGLE_", "ARGO_")
_SECRET_NAME: Final = re.compile(
    r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|SSH_AUTH", re.IGNORECASE
)
_SECRET_VALUE: Final = re.compile(r"://[^/@\s]*:[^/@\s]+@")
_UNPRINTABLE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_SIGNALS: Final = {9: " (out of memory?)", 25: " (a file became larger than may be written)"}
_LOOK: Final = 0.5
"""Seconds between two looks at the disk."""
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use."""

    size: int = 4 << 30
    """Bytes by which the watched directory may grow."""
    files: int = 100_000
    """By which it may grow."""
    seconds: float | None = None
    """Until its end; None leaves that to the Workflow's deadline."""

    def told(self, which: str) -> str:
        """Return what is said of a program that was ended at a limit, `size` or `files`; of another, nothing."""
        if which == "size":
            return f"wrote more than {self.size >> 20} MiB and was ended; write less"
        return f"wrote more than {self.files} files and was ended; write fewer" if which == "files" else ""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended."""

    code: int
    """Its exit code; negative for a signal."""
    last: str
    """The last line it said, printable, at most 500 characters."""
    exceeded: str = ""
    """Which limit it was ended at, in words; empty if it ended by itself."""


def given(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment holds no credential, judged by name and by addresses with a password in them."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(_NOT_GIVEN) and not _SECRET_NAME.search(name) and not _SECRET_VALUE.search(value)
    }


def last_line(words: bytes) -> str:
    """Return the last line that says something, printable, at most 500 characters."""
    text = _UNPRINTABLE.sub("", words.decode("utf-8", "replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else ""


def verdict(ended: Ended, where: str) -> tuple[int, str]:
    """Return the exit code that the step is to have, and one line if it failed.

    Args:
        ended: how a team's program did.
        where: names the program.
    """
    if ended.exceeded:
        return BAD_INPUT, f"{where}: {ended.exceeded}"
    if ended.code == 0:
        return 0, ""
    if ended.code < 0:
        why = f"was ended by signal {-ended.code}{_SIGNALS.get(-ended.code, '')}"
        return 1, f"{where}: {why}: {ended.last or 'without a word'}"
    return ended.code, f"{where}: exited with {ended.code}: {ended.last or 'without a word'}"


def run(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, watched: Path, limits: Limits) -> Ended:
    """Run a program to its end, hand on what it says, and end everything that it started.

    Args:
        argv: program and arguments; no shell takes part.
        env: its whole environment.
        cwd: its working directory.
        watched: the directory whose growth is bounded.
        limits: what it may use.

    Raises:
        StepFailedError: this process was told to end meanwhile.
    """
    with _responsible() as mine:
        before = _usage(watched)
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: _bound(limits.size),  # noqa: PLW1509 - two system calls
        )
        assert process.stdout is not None
        words = _Words(process.stdout)
        exceeded = _watch(process, watched, before, limits)
        mine.end()
        process.wait()
        words.join()
    return Ended(process.returncode, words.last, exceeded)


def _bound(size: int) -> None:
    """Before the program begins: no file larger than all may be, and no life after ours."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _watch(process: "subprocess.Popen[bytes]", watched: Path, before: tuple[int, int], limits: Limits) -> str:
    """Wait for its end; return the limit at which it has to be ended, in words."""
    began = time.monotonic()
    pause = _LOOK
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(pause)
        looked = time.monotonic()
        size, files = _usage(watched)
        if size - before[0] > limits.size:
            return limits.told("size")
        if files - before[1] > limits.files:
            return limits.told("files")
        if process.poll() is not None:
            return ""
        if limits.seconds is not None and looked - began > limits.seconds:
            return f"did not end within {limits.seconds:.0f} s and was ended; make it faster"
        # Counting a hundred thousand files must not take the processor from the program.
        pause = max(_LOOK, 4 * (time.monotonic() - looked))


def _usage(directory: Path) -> tuple[int, int]:
    """Return bytes and files below a directory."""
    size = count = 0
    for path, directories, names in os.walk(directory):
        count += len(directories)
        for name in names:
            count += 1
            with suppress(OSError):
                size += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118 - a hot loop
    return size, count


class _Descendants:
    """Everything that was started below this process since, whatever it calls itself or whose child it became."""

    def __init__(self) -> None:
        self._before = set(self._below())

    def end(self) -> None:
        """Kill until nothing is left; what forks faster than it is killed gets ten seconds."""
        deadline = time.monotonic() + 10
        while (found := [one for one in self._below() if one not in self._before]) and time.monotonic() < deadline:
            for pid, _ in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def _below(self) -> Iterator[tuple[int, int]]:
        """Yield (pid, start time) of every living process below this one."""
        children: dict[int, list[tuple[int, int]]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if fields[0] not in "ZX":
                        children.setdefault(int(fields[1]), []).append((int(entry.name), int(fields[19])))
        left = [os.getpid()]
        while left:
            for found in children.get(left.pop(), ()):
                yield found
                left.append(found[0])


@contextmanager
def _responsible() -> Iterator[_Descendants]:
    """Become the parent of every orphan below; leave none of them, also when told to end."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    mine = _Descendants()
    old: Any = None
    main = threading.current_thread() is threading.main_thread()
    if main:
        old = signal.signal(signal.SIGTERM, _told_to_end)
    try:
        yield mine
    finally:
        mine.end()
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 0)
        if main:
            signal.signal(signal.SIGTERM, old)


def _told_to_end(*_: object) -> None:
    raise StepFailedError("was told to end before it was done")


class _Words:
    """Hands on what a program says, up to a limit, and remembers the last line."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._tail = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until everything was read."""
        self._thread.join(5)

    @property
    def last(self) -> str:
        """The last line that says something."""
        return last_line(self._tail)

    def _read(self) -> None:
        left = MAX_WORDS
        while chunk := os.read(self._source.fileno(), 65536):
            self._tail = (self._tail + chunk)[-4096:]
            with suppress(OSError):  # a log on a full disk must not stop the program
                sys.stderr.buffer.write(chunk[:left])
                if 0 < left <= len(chunk):
                    sys.stderr.buffer.write(b"\n... what it says beyond this is left out\n")
                sys.stderr.buffer.flush()
            left = max(0, left - len(chunk))
