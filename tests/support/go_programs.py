"""Programs of the Go world that tests need: found, or built once with Go into a cache.

Called by kube_apiserver and helm, which say what to build. Nothing is built unless somebody asks for it.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Recipe:
    """How programs are built from Go modules."""

    programs: Mapping[str, str]
    """Name of a program → its package."""
    require: Mapping[str, str]
    """Module → version."""
    replace: Mapping[str, str] = field(default_factory=dict)
    """Module → version that stands in for any other one."""
    stamps: Mapping[str, str] = field(default_factory=dict)
    """Go variable → its value, set by the linker: how a program learns its own version."""
    tags: Sequence[str] = ()
    """Of the build: what a program leaves out."""

    def module(self) -> str:
        """Return the text of a go.mod."""
        require = "\n".join(f"\t{module} {version}" for module, version in self.require.items())
        tools = "\n".join(f"\t{package}" for package in self.programs.values())
        replace = "\n".join(f"\t{module} => {module} {version}" for module, version in self.replace.items())
        return f"module tools\n\ngo 1.24\n\nrequire (\n{require}\n)\ntool (\n{tools}\n)\nreplace (\n{replace}\n)\n"


def cache() -> Path:
    """Return the directory in which built programs are kept."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "modelops" / "bin"


def find(program: str) -> str | None:
    """Return where a program is: in $MODELOPS_TEST_BIN, on PATH or in the cache."""
    places = [os.environ.get("MODELOPS_TEST_BIN", ""), os.environ.get("PATH", ""), str(cache())]
    return shutil.which(program, path=os.pathsep.join(place for place in places if place))


def build(recipe: Recipe, destination: Path) -> None:
    """Build what a recipe says; a program that is there already is kept.

    Raises:
        RuntimeError: Go is not installed.
        subprocess.CalledProcessError: the build failed; Go has said why.
    """
    wanted = {name: package for name, package in recipe.programs.items() if not (destination / name).exists()}
    if not wanted:
        return
    if shutil.which("go") is None:
        raise RuntimeError(f"go is not installed; it is needed to build {' and '.join(wanted)}")
    destination.mkdir(parents=True, exist_ok=True)
    stamps = " ".join(f"-X {variable}={value}" for variable, value in recipe.stamps.items())
    environment = {**os.environ, "CGO_ENABLED": "0"}
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "go.mod").write_text(recipe.module(), encoding="utf-8")
        subprocess.run(["go", "mod", "tidy", "-e"], cwd=directory, env=environment, check=True)
        for name, package in wanted.items():
            # Renamed into place when it is whole, so that a build that was killed leaves no half program.
            made = destination / f".{name}.{os.getpid()}"
            flags = ["-trimpath", "-ldflags", f"-s -w {stamps}", "-tags", ",".join(recipe.tags), "-o", str(made)]
            subprocess.run(["go", "build", *flags, package], cwd=directory, env=environment, check=True)
            made.rename(destination / name)
