"""The programs of peers: built from their Go modules into the cache when missing, with their own go.mod and go.sum.

Nothing of theirs is in this repository. Their CRDs are read from Go's module cache, where `go mod download` puts them.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.support.go_programs import cache


@dataclass(frozen=True, slots=True)
class Peer:
    """One program."""

    name: str
    module: str
    version: str
    package: str
    """In the module."""
    manifests: str
    """Of its CRDs, as a glob in the module."""

    @property
    def program(self) -> Path:
        return cache() / f"{self.name}-{self.version}"

    def source(self) -> Path:
        """Return where its module lies.

        Raises:
            RuntimeError: Go is not installed.
            subprocess.CalledProcessError: it could not be fetched; Go has said why.
        """
        if shutil.which("go") is None:
            raise RuntimeError(f"go is not installed; it is needed to build {self.name} and to find its CRDs")
        with tempfile.TemporaryDirectory() as directory:
            command = ["go", "mod", "download", "-json", f"{self.module}@v{self.version}"]
            told = subprocess.run(command, cwd=directory, check=True, stdout=subprocess.PIPE).stdout
        return Path(json.loads(told)["Dir"])

    def build(self) -> None:
        """Build it unless it is there; raises what `source` does."""
        if self.program.exists():
            return
        source = self.source()
        self.program.parent.mkdir(parents=True, exist_ok=True)
        made = self.program.with_name(f".{self.program.name}.{os.getpid()}")
        with tempfile.TemporaryDirectory() as directory:
            # Go takes no directory of its cache for a main module.
            copy = shutil.copytree(source, Path(directory) / self.name, copy_function=shutil.copyfile)
            subprocess.run(["chmod", "-R", "u+w", directory], check=True)
            command = ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", str(made), self.package]
            subprocess.run(command, cwd=copy, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
        made.rename(self.program)

    def crds(self) -> Iterator[dict[str, Any]]:
        """Yield its definitions."""
        for path in sorted(self.source().glob(self.manifests)):
            for obj in yaml.safe_load_all(path.read_text()):
                if obj and obj["kind"] == "CustomResourceDefinition":
                    yield obj

    @contextmanager
    def running(self, log: Path, *arguments: str) -> Iterator[None]:
        """Run it until the block ends."""
        with log.open("wb") as out:
            process = subprocess.Popen([str(self.program), *arguments], stdout=out, stderr=out)
        try:
            yield
        finally:
            process.kill()
            process.wait(10)


ARGO_ROLLOUTS = Peer(
    "argo-rollouts", "github.com/argoproj/argo-rollouts", "1.9.0", "./cmd/rollouts-controller", "manifests/crds/*.yaml"
)
FLAGGER = Peer("flagger", "github.com/fluxcd/flagger", "1.36.1", "./cmd/flagger", "artifacts/flagger/crd.yaml")
