"""One replica: a process, its probes, its restarts. A thread of its own looks after each."""

import http.client
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from modelops.localhome import children
from modelops.localhome.processes.container import Command, Probe, Program, Surroundings

_FIRST_BACKOFF: Final = 1.0
_LONGEST_BACKOFF: Final = 60.0
_TAIL: Final = 300
_STEADY: Final = 60.0
"""Seconds after which an exit is no crash loop any more."""


class Replica:
    """Keeps one process running and knows whether it is ready.

    The process outlives this one, as a pod outlives its kubelet: a controller that comes back takes it over by the
    record, and traffic never notices.

    Args:
        command: what to start.
        given: the port it listens on, on loopback, and the directory of its volumes.
        log: its output.
        record: where pid and start time are written down.
        note: written down beside them, for the successor.
        environment: what every process inherits.
        changed: called when readiness or the message changed.
        adopted: the process that a predecessor started, instead of a new one.
        ready: whether that one was ready; it is until its probe says otherwise, so that traffic is not cut.
    """

    def __init__(
        self,
        command: Command,
        given: Surroundings,
        log: Path,
        record: Path,
        note: Mapping[str, str | int],
        environment: Mapping[str, str],
        changed: Callable[[], None],
        adopted: children.Adopted | None = None,
        *,
        ready: bool = False,
    ) -> None:
        self._command = command
        self.port = given.port
        self.directory = given.directory
        self._log = log
        self._record = record
        self._note = dict(note)
        self._adopted = adopted
        self._environment = environment
        self._changed = changed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"replica-{given.port}", daemon=True)
        self.ready = ready
        self.message = "ready" if ready else "starting"

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Say that it is to end: not ready any more, SIGTERM, grace, SIGKILL."""
        self._stopping.set()

    def join(self, seconds: float) -> bool:
        """Return whether it has ended within so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._keep_running()
        finally:
            for volume in self._command.volumes:
                shutil.rmtree(volume, ignore_errors=True)
            with suppress(OSError):
                self.directory.rmdir()

    def _keep_running(self) -> None:
        backoff = _FIRST_BACKOFF
        left = [] if self._adopted is not None else list(self._command.init)
        while not self._stopping.is_set():
            begun = time.monotonic()
            why = self._begin(left) or self._once()
            if self._stopping.is_set():
                return
            if time.monotonic() - begun > _STEADY:
                backoff = _FIRST_BACKOFF
            self._set(False, f"CrashLoopBackOff: {why}; next start in {backoff:.0f} s; log: {self._log}")  # noqa: FBT003
            self._stopping.wait(backoff)
            backoff = min(_LONGEST_BACKOFF, backoff * 2)

    def _begin(self, left: list[Program]) -> str:
        """Run the init containers that have not succeeded yet; return why one did not, or nothing."""
        for volume in self._command.volumes:
            volume.mkdir(parents=True, exist_ok=True)
        while left:
            program = left[0]
            self._set(False, f"init container {program.name} runs")  # noqa: FBT003
            try:
                process = children.spawn(program.argv, env={**self._environment, **program.env}, log=self._log)
            except OSError as error:
                return _absent(program, error)
            try:
                while process.poll() is None:
                    if self._stopping.wait(0.05):
                        return "stopped"
            finally:
                children.end_group(process.pid, grace_seconds=self._command.grace_seconds)
            if process.returncode:
                return f"init container {program.name} exited with {process.returncode}: {_last_line(self._log)}"
            left.pop(0)
        return ""

    def _once(self) -> str:
        process: children.Adopted | subprocess.Popen[bytes]
        if self._adopted is not None:
            process, self._adopted = self._adopted, None
        else:
            main = self._command.main
            env = {**self._environment, **main.env}
            try:
                process = children.spawn(main.argv, env=env, log=self._log, dies_with_us=False)
            except OSError as error:
                return _absent(main, error)
            children.record(self._record, process.pid, **self._note)
        try:
            return self._watch(process.poll)
        finally:
            self._set(False, "stopping")  # noqa: FBT003
            children.end_group(process.pid, grace_seconds=self._command.grace_seconds)
            process.poll()
            self._record.unlink(missing_ok=True)

    def _watch(self, exit_code: Callable[[], int | None]) -> str:
        """Probe until the process exits, fails its liveness, or is to stop; return why."""
        readiness, liveness, startup = (
            _Tally(probe, self.port, passing=self.ready)
            for probe in (self._command.readiness, self._command.liveness, self._command.startup)
        )
        while not self._stopping.is_set():
            code = exit_code()
            if code is not None:
                said = _last_line(self._log)
                return ("exited" if code == -1 else f"exited with {code}") + (f": {said}" if said else "")
            now = time.monotonic()
            startup.look(now)
            if not startup.passing and startup.failed_for_good:
                return "startup probe failed"
            if startup.passing:
                readiness.look(now)
                liveness.look(now)
                if liveness.failed_for_good:
                    return "liveness probe failed"
                self._set(readiness.passing, "ready" if readiness.passing else f"not ready: {readiness.last}")
            self._stopping.wait(0.05 if not self.ready else 0.2)
        return "stopped"

    def _set(self, ready: bool, message: str) -> None:
        if (ready, message) != (self.ready, self.message):
            self.ready, self.message = ready, message
            self._changed()


def _absent(program: Program, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{program.argv[0]} is not installed here, or not on PATH; install it"
    return f"{program.argv[0]} does not start: {error.strerror}"


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as source:
            source.seek(max(0, log.stat().st_size - _TAIL))
            lines = source.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:_TAIL] if lines else ""


class _Tally:
    """Counts one probe's answers against its thresholds."""

    def __init__(self, probe: Probe | None, port: int, *, passing: bool) -> None:
        self._probe = probe
        self._port = port
        self._due = time.monotonic() + (probe.initial_delay if probe else 0)
        self._good = self._bad = 0
        self._ever = passing
        self.passing = passing or probe is None
        self.failed_for_good = False
        self.last = "not asked yet"

    def look(self, now: float) -> None:
        """Ask if it is time to."""
        if self._probe is None or now < self._due:
            return
        # Until the first success a process is asked more often than its period, so that start-up is not rounded up.
        self._due = now + (self._probe.period if self._ever else min(self._probe.period, 0.1))
        if self._ask(self._probe):
            self._good, self._bad, self._ever = self._good + 1, 0, True
            self.passing = self.passing or self._good >= self._probe.success
        else:
            self._good = 0
            self._bad += 1 if self._ever or now - self._due > -self._probe.period else 0
            if self._bad >= self._probe.failure:
                self.failed_for_good = self._ever
                self.passing = False

    def _ask(self, probe: Probe) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=probe.timeout)
        try:
            connection.request("GET", probe.path, headers={"Connection": "close"})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            self.last = type(error).__name__
            return False
        finally:
            connection.close()
        self.last = f"HTTP {status}"
        return 200 <= status < 400
