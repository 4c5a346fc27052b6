"""Runs git locked down: no hook, filter or user configuration takes part, and every command has a deadline.

The only place that runs git; called by `adapters.git`. Each command has a process group of its own, so that its helpers
end with it.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from modelops.errors import Stalled, Transient

_LOCKED_DOWN: Final = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GCM_INTERACTIVE": "never",
    "LC_ALL": "C",
}
_OPTIONS: Final = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=false",
    "credential.helper=",
    "http.followRedirects=false",
    "protocol.allow=never",
    "protocol.version=2",
    "fetch.fsckObjects=true",
    "transfer.credentialsInUrl=die",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "safe.bareRepository=all",
    "safe.directory=*",
)


class GitFailed(Exception):
    """A git command that ended with something other than 0, and what it wrote to stderr."""

    def __init__(self, stderr: str) -> None:
        super().__init__(stderr)
        self.stderr = stderr


class GitCommands:
    """Commands on bare repositories; thread-safe.

    Args:
        deadline: of one command. Seconds.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._guard = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()

    def close(self) -> None:
        """End every git command that runs, with its helpers: nobody waits for it any more."""
        with self._guard:
            for process in self._running:
                _kill(process)

    def run(
        self,
        mirror: Path,
        *words: str,
        allow: str | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> bytes:
        """Run git; return what it wrote.

        GitPython would pass the operator's own GIT_* variables on, and needs `ps` to end a command that hangs.

        Args:
            mirror: the bare repository.
            words: the command.
            allow: the scheme that it may speak; None: it stays on this machine.
            environment: of this command.
            stdin: what it reads.

        Raises:
            GitFailed: it ended with something other than 0.
            Transient: it did not end in time (Timeout).
            Stalled: there is no git (GitMissing).
        """
        options = [*_OPTIONS, *([f"protocol.{allow}.allow=always"] if allow else [])]
        command = ["git", f"--git-dir={mirror}", *(part for option in options for part in ("-c", option)), *words]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "SSH_"))}
        try:
            process = subprocess.Popen(
                command,
                cwd=mirror,
                env={**inherited, **_LOCKED_DOWN, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            if error.filename != "git":
                raise
            raise Stalled("GitMissing", "git is not installed; install it") from None
        with process, self._noted(process):
            try:
                output, told = process.communicate(stdin, timeout=self._deadline)
            except BaseException as error:
                _kill(process)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise Transient("Timeout", f"git {words[0]} did not end within {self._deadline:g} s") from None
                raise
        if process.returncode:
            raise GitFailed(told.decode("utf-8", "replace"))
        return output

    @contextmanager
    def _noted(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        with self._guard:
            self._running.add(process)
        try:
            yield
        finally:
            with self._guard:
                self._running.discard(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
