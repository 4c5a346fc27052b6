"""What a home needs now and then while it runs: its logs cut, old things removed, a look whether it is still there.

Called by the supervisor at every turn. It never waits: pruning is a process of its own, so that a hung MLflow holds
nobody up.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from modelops.localhome import children, logfiles, parts
from modelops.localhome.home import Home

_EVERY: Final = 2.0
_PRUNING: Final = 3600.0


class Household:
    """Looks after one home's directory.

    Args:
        home: whose.
        say: told one line at a time, for people.
    """

    def __init__(self, home: Home, say: Callable[[str], None]) -> None:
        self._home = home
        self._say = say
        self._due = 0.0
        self._prune_due = 0.0
        self._pruning: subprocess.Popen[bytes] | None = None
        self._complaint = ""

    def keep(self, *, ready: bool) -> bool:
        """Do what is due; False once the state directory is gone, and everything with it.

        Args:
            ready: whether every part of the home answers.
        """
        now = time.monotonic()
        if now < self._due:
            return True
        self._due = now + _EVERY
        if not self._home.description.exists():
            self._say(f"{self._home.state} was deleted or emptied while running; stopping: what it held is gone")
            return False
        try:
            logfiles.rotate(self._home.logs)
            logfiles.retire(self._home.logs)
        except OSError as error:
            self.complain(f"{self._home.logs}: {error.strerror}; free space: everything else goes on")
        if ready and now >= self._prune_due:
            self._prune_due = now + _PRUNING
            self._prune()
        return True

    def complain(self, line: str) -> None:
        """Say what is wrong, once as long as it stays so."""
        if line != self._complaint:
            self._complaint = line
            self._say(line)

    def stop(self) -> None:
        """End what was begun."""
        if self._pruning is not None:
            children.end_group(self._pruning.pid, grace_seconds=1)

    def _prune(self) -> None:
        if self._pruning is not None and self._pruning.poll() is None:
            return
        argv = (sys.executable, "-m", "modelops.localhome.prune", "--state-dir", str(self._home.state))
        try:
            self._pruning = children.spawn(argv, env=parts.inherited(os.environ), log=self._home.logs / "prune.log")
        except OSError as error:
            self.complain(f"prune: {error.strerror}")
