"""Our own images, as `make images` built them: found with the builder, and written as archives for nodes."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.support import go_programs

PARTS: Final = ("operator", "server")
"""What every story needs."""
TRAINER: Final = "trainer"
"""What stories that train need besides; with torch it is the largest by far."""


def registry() -> str:
    """Return what stands before images' names: $MODELOPS_TEST_REGISTRY, else what `make images` gives."""
    return os.environ.get("MODELOPS_TEST_REGISTRY") or "localhost"


def name_of(part: str) -> str:
    """Return the name of an image: `operator`, `server` or `trainer`."""
    return f"{registry()}/modelops-{part}:{version()}"


def version() -> str:
    """Return modelops' version, by which images are tagged."""
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    return next(line.split('"')[1] for line in text.splitlines() if line.startswith("version = "))


def missing(*parts: str) -> str | None:
    """Return which of these images are missing and how to get them, or None."""
    lacking = [part for part in parts if archived(part) is None and _id_of(part) is None]
    if not lacking:
        return None
    return f"images {', '.join(name_of(part) for part in lacking)} are not built, and not in {given()}: make images"


def given() -> Path:
    """Return where archives may lie that were not built here, `operator.tar` and so on: $MODELOPS_TEST_IMAGES."""
    return Path(os.environ.get("MODELOPS_TEST_IMAGES") or go_programs.cache().parent / "images")


def archived(part: str) -> Path | None:
    """Return the archive that was given for an image, if any."""
    path = given() / f"{part}.tar"
    return path if path.exists() else None


def archive(part: str, directory: Path) -> Path:
    """Return an archive of an image that is not `missing`; what the builder has is written to the directory once."""
    if path := archived(part):
        return path
    built = _id_of(part)
    assert built is not None, missing(part)
    builder, identifier = built
    path = directory / f"{part}-{identifier[:12]}.tar"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(".part")
        made.unlink(missing_ok=True)
        name = name_of(part)
        words = (
            ["push", name, f"docker-archive:{made}:{name}"] if builder == "buildah" else ["save", "-o", str(made), name]
        )
        subprocess.run([builder, *words], check=True, capture_output=True)
        made.rename(path)
    return path


def _id_of(part: str) -> tuple[str, str] | None:
    """Return which builder has an image, and the image's id there."""
    for builder in ("buildah", "podman", "docker"):
        if shutil.which(builder) is None:
            continue
        words = ["images", "--no-trunc", "--quiet", name_of(part)]
        done = subprocess.run([builder, *words], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return builder, done.stdout.split()[0].removeprefix("sha256:")
    return None
