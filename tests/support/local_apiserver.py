"""Our API server as a real process, for tests: started on a free port, stopped by its pid."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class LocalApiServer:
    """One server over one state directory; `start` and `stop` as often as a test likes."""

    directory: Path
    crds: Path
    port: int = 0
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def token(self) -> str:
        return (self.directory / "token").read_text().strip()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> "LocalApiServer":
        """Start it and wait until it serves."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "apiserver.log").open("a") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "modelops.localhome.apiserver",
                    f"--db={self.directory / 'api.db'}",
                    f"--port={self.port}",
                    f"--crds={self.crds}",
                    f"--token-file={self.directory / 'token'}",
                    f"--kubeconfig={self.kubeconfig}",
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not said.startswith("serving on "):
            self.process.wait(10)
            raise RuntimeError((self.directory / "apiserver.log").read_text()[-2000:])
        self.port = int(said.strip().rsplit(":", 1)[1])
        return self

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal and wait for that."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(15)
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
