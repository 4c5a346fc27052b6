"""Starts the parts of the local home, watches over them, and ends them all, in order.

Run by `modelops local up`, in the foreground or, with --detach, as `python -m modelops.localhome.supervisor`. Every
part is recorded by pid and start time, so that the next supervisor ends what a killed one left behind.
"""

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import urllib3

from modelops.errors import ModelopsError, Stalled
from modelops.localhome import children, first, layout, parts
from modelops.localhome.home import Home, endpoints
from modelops.localhome.household import Household
from modelops.localhome.parts import Part

_FIRST_BACKOFF: Final = 1.0
_LONGEST_BACKOFF: Final = 30.0
_STEADY: Final = 30.0
_TICK: Final = 0.1
_START_LIMIT: Final = 120.0
"""Seconds after which a part that is not ready is said to hang."""


@dataclass(slots=True)
class _Running:
    part: Part
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    begun: float = 0.0
    backoff: float = _FIRST_BACKOFF
    due: float = 0.0
    starts: int = 0
    looked: float = 0.0


class Supervisor:
    """One local home, running.

    Args:
        home: its state directory.
        say: told one line at a time, for people.
    """

    def __init__(self, home: Home, say: Callable[[str], None]) -> None:
        self._home = home
        self._say = say
        # Not an Event: setting one in a signal handler waits for ever if the signal came while its lock was held.
        self._stopping = False
        # The API server's certificate is its own; whether it answers is all that is asked here.
        self._http = urllib3.PoolManager(retries=False, timeout=2.0, cert_reqs="CERT_NONE")
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._running: list[_Running] = []
        self._ready = False
        self._household = Household(home, say)

    def stop(self) -> None:
        """End everything; safe to call from a signal handler."""
        self._stopping = True

    def run(self, source: first.Source | None) -> int:
        """Bring everything up, stay until stopped, take everything down. Returns the exit code.

        Args:
            source: the repository to sync from the start, or None.

        Raises:
            Stalled: another home lives in the state directory, or a program is missing.
        """
        try:
            self._home.state.mkdir(parents=True, exist_ok=True)
            opened = (self._home.state / "lock").open("w")
        except OSError as error:
            raise layout.unwritable(self._home.state, error) from error
        with opened as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise already_up(self._home) from error
            layout.adopt(self._home, self._say)
            for record in (self._home.state / "parts").glob("*.json"):
                children.end_recorded(record)
            try:
                return self._run(source)
            finally:
                self._down()

    def _run(self, source: first.Source | None) -> int:
        ports = self._home.ports()
        prometheus = parts.prometheus_program()
        crds, envoy = parts.crd_directory(), parts.envoy_program()
        try:
            parts.prepare(self._home, ports)
        except OSError as error:
            raise layout.unwritable(self._home.state, error) from error
        if prometheus is None:
            self._say(parts.NO_PROMETHEUS)
        self._ports, self._addresses = ports, endpoints(ports, prometheus=prometheus is not None)
        self._running = [_Running(part) for part in parts.parts(self._home, ports, crds, envoy, prometheus)]
        self._describe()
        begun = time.monotonic()
        objects = False
        while not self._stopping:
            self._tick()
            if not self._household.keep(ready=self._ready):
                return 1
            if not objects and self._is_ready("apiserver") and self._is_ready("operator"):
                objects = first.make(self._home, source, self._say)
            if not self._ready and objects and all(entry.ready for entry in self._running):
                self._ready = True
                self._describe()
                self._say(f"ready after {time.monotonic() - begun:.1f} s; state in {self._home.state}")
            time.sleep(_TICK)
        return 0

    def _is_ready(self, name: str) -> bool:
        return any(entry.part.name == name and entry.ready for entry in self._running)

    def _tick(self) -> None:
        for entry in self._running:
            now = time.monotonic()
            if entry.process is None:
                if now >= entry.due and all(self._is_ready(name) for name in entry.part.after):
                    self._start(entry)
            elif entry.process.poll() is not None:
                self._fell(entry, f"exited with {entry.process.returncode}")
            elif not entry.ready:
                self._look(entry, now)

    def _start(self, entry: _Running) -> None:
        part = entry.part
        log = self._home.logs / f"{part.name}.log"
        env = parts.inherited(os.environ) | dict(part.env)
        try:
            entry.process = children.spawn(part.argv, env=env, log=log, cwd=self._home.state)
            children.record(self._home.state / "parts" / f"{part.name}.json", entry.process.pid)
        except (FileNotFoundError, PermissionError) as error:
            raise Stalled("PartMissing", f"{part.name}: {part.argv[0]} does not start: {error.strerror}") from error
        except OSError as error:  # a full disk is no reason to end what runs
            self._fell(entry, f"does not start: {error.strerror}")
            return
        entry.begun = time.monotonic()
        entry.starts += 1
        self._describe()

    def _look(self, entry: _Running, now: float) -> None:
        if entry.part.probe is not None:
            if now - entry.looked < 0.2:
                return
            entry.looked = now
            try:
                answer = self._http.request("GET", entry.part.probe)
            except urllib3.exceptions.HTTPError:
                answer = None
            # Somebody who may not ask is answered by a server that is up.
            if answer is None or answer.status not in (200, 401, 403):
                if now - entry.begun > _START_LIMIT:
                    self._fell(entry, f"is not ready after {_START_LIMIT:.0f} s")
                return
        entry.ready = True
        self._say(f"{entry.part.name:<11} {now - entry.begun:5.1f} s  {entry.part.url}".rstrip())
        self._describe()

    def _fell(self, entry: _Running, why: str) -> None:
        now = time.monotonic()
        self._end(entry)
        if now - entry.begun > _STEADY:
            entry.backoff = _FIRST_BACKOFF
        log = self._home.logs / f"{entry.part.name}.log"
        self._say(f"{entry.part.name:<11} {why}; starts again in {entry.backoff:.0f} s; log: {log}")
        entry.due = now + entry.backoff
        entry.backoff = min(_LONGEST_BACKOFF, entry.backoff * 2)
        self._describe()

    def _end(self, entry: _Running) -> None:
        if entry.process is None:
            return
        children.end_group(entry.process.pid, grace_seconds=entry.part.grace_seconds)
        entry.process.poll()
        entry.process, entry.ready = None, False
        (self._home.state / "parts" / f"{entry.part.name}.json").unlink(missing_ok=True)

    def _down(self) -> None:
        self._household.stop()
        if self._running:
            self._say("stopping")
        # Controllers first, so that nobody restarts what is being stopped; what they need goes last.
        controllers = {"operator", "engine", "processes", "gateway"}
        for first_ones in (True, False):
            ending = [
                threading.Thread(target=self._end, args=(entry,))
                for entry in self._running
                if (entry.part.name in controllers) == first_ones
            ]
            for thread in ending:
                thread.start()
            for thread in ending:
                thread.join()
        self._running = []
        # Model servers outlive a process controller that was killed; they do not outlive their home.
        for record in (self._home.state / "processes").glob("*.json"):
            children.end_recorded(record)
        written = self._home.read()
        if written:
            self._home.write({"ports": written.get("ports", {}), "ready": False})

    def _describe(self) -> None:
        me = os.getpid()
        described: dict[str, Any] = {
            "supervisor": {"pid": me, "startTime": children.start_time(me)},
            "ready": self._ready,
            "stateDir": str(self._home.state),
            "kubeconfig": str(self._home.kubeconfig),
            "ports": self._ports,
            "endpoints": self._addresses,
            "parts": {
                entry.part.name: {
                    "pid": entry.process.pid if entry.process else None,
                    "startTime": children.start_time(entry.process.pid) if entry.process else None,
                    "ready": entry.ready,
                    "restarts": max(0, entry.starts - 1),
                    "url": entry.part.url,
                }
                for entry in self._running
            },
        }
        try:
            self._home.write(described)
        except OSError as error:
            self._household.complain(f"{self._home.description}: {error.strerror}; free space: everything else goes on")


def already_up(home: Home) -> Stalled:
    """Return the refusal of a second home in one state directory."""
    return Stalled(
        "AlreadyUp",
        f"a local home is up in {home.state} (pid {home.supervisor() or '?'}); "
        "end it with `modelops local down`, or give another --state-dir",
    )


def run(home: Home, source: first.Source | None, say: Callable[[str], None]) -> int:
    """Run a local home in this process until SIGINT or SIGTERM."""
    supervisor = Supervisor(home, say)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: supervisor.stop())
    return supervisor.run(source)


def main() -> int:
    """Run detached: `python -m modelops.localhome.supervisor`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--repo")
    parser.add_argument("--branch", default="main")
    parser.add_argument("--path", default="deploy")
    given = parser.parse_args()
    try:
        source = first.source(given.repo, given.branch, given.path) if given.repo else None
        return run(Home(given.state_dir), source, lambda line: print(line, flush=True))  # noqa: T201 - into its log
    except ModelopsError as error:
        sys.stderr.write(f"modelops: {error.message}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
