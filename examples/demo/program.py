"""Runs the `modelops` program as a user would, and reads what it prints.

The tour uses nothing but the program, git and HTTP, so that whatever it shows can be typed by hand.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class StoryError(Exception):
    """The tour did not go as it should; the message says what to look at."""


@dataclass(frozen=True, slots=True)
class Program:
    """The program of this environment, bound to one local home."""

    state_dir: Path

    def _environment(self) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        return environment | {"MODELOPS_STATE_DIR": str(self.state_dir)}

    def _argv(self, *words: str) -> list[str]:
        return [str(Path(sys.executable).parent / "modelops"), *words]

    def run(self, *words: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run one verb and return its output; the exit code is the caller's to judge."""
        return subprocess.run(  # noqa: PLW1510
            self._argv(*words), env=self._environment(), capture_output=True, text=True, timeout=timeout
        )

    def must(self, *words: str, timeout: float = 300) -> str:
        """Run one verb that has to succeed and return what it printed.

        Raises:
            StoryError: it exited with anything but 0.
        """
        done = self.run(*words, timeout=timeout)
        if done.returncode:
            message = f"modelops {' '.join(words)} exited with {done.returncode}: {done.stderr.strip()}"
            raise StoryError(message)
        return done.stdout

    def show(self, *words: str) -> int:
        """Run one verb with its output on this terminal; return its exit code."""
        return subprocess.run(self._argv(*words), env=self._environment(), check=False).returncode

    def object(self, kind: str, name: str) -> dict[str, Any]:
        """Return one object as the API has it."""
        loaded: dict[str, Any] = json.loads(self.must("get", kind, name, "-o", "json"))
        return loaded

    def endpoints(self) -> dict[str, str]:
        """Return the addresses of the local home."""
        endpoints: dict[str, str] = json.loads(self.must("local", "status", "-o", "json"))["endpoints"]
        return endpoints
