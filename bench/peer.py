"""The Go controller of bench/controller as a process, to measure modelops beside it."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.go_programs import cache

SOURCE = Path(__file__).parent / "controller"


def built() -> Path:
    """Return the program; what Go finds unchanged is not built anew.

    Raises:
        RuntimeError: Go is not installed.
        subprocess.CalledProcessError: the build failed; Go has said why.
    """
    if shutil.which("go") is None:
        raise RuntimeError("go is not installed; it is needed to build the controller that modelops is compared with")
    program = cache() / "bench-controller"
    program.parent.mkdir(parents=True, exist_ok=True)
    command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(program), "."]
    subprocess.run(command, cwd=SOURCE, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    return program


@dataclass
class Process:
    """What is measured of a process: its memory and its CPU time."""

    pid: int

    @property
    def mib(self) -> float:
        """Resident memory now, in MiB: what `kubectl top` would count."""
        return self._status("VmRSS")

    @property
    def peak_mib(self) -> float:
        """The most it ever had resident, in MiB."""
        return self._status("VmHWM")

    @property
    def cpu(self) -> float:
        """Seconds of CPU since it began."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
