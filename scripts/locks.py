"""Write what is installed, version and hash: requirements.lock for everything, requirements/*.lock for each image.

`make locks`, after a dependency changed in pyproject.toml. Versions stay as they are unless they have to change;
`--upgrade` takes the newest. An image's lock has the versions of requirements.lock, which is what the tests run with.
Needs uv, and a package index.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from uv import find_uv_bin

ROOT: Final = Path(__file__).parents[1]
EVERYTHING: Final = ROOT / "requirements.lock"
IMAGES: Final[Mapping[str, Sequence[str]]] = {
    # Only a kubeconfig that needs a program asks for the Kubernetes package, and a pod has none; MLflow is spoken to
    # over HTTP; Workflows are dictionaries (ADR 4).
    "operator": ("kubernetes", "mlflow-skinny", "argo-workflows"),
    "trainer": ("kubernetes",),
    "server": ("kubernetes",),
}
"""Image, which is an extra of pyproject.toml → dependencies that its processes never import."""
BUILD: Final = "build"
"""What makes the wheel: pyproject.toml's build-system."""


def lock_of(image: str) -> Path:
    """Return where the lock of an image is."""
    return ROOT / "requirements" / f"{image}.lock"


def _compile(out: Path, source: Sequence[str], *, upgrade: bool, text: str = "") -> None:
    # The version is that of the image's Python and the oldest that is supported.
    what = ["--universal", "--generate-hashes", "--python-version", "3.11", "--no-header", "--quiet"]
    if upgrade:
        what.append("--upgrade")
    subprocess.run(
        [find_uv_bin(), "pip", "compile", *source, *what, "--output-file", str(out)],
        cwd=ROOT,
        check=True,
        input=text,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def main() -> int:
    """Write all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    upgrade = parser.parse_args().upgrade
    _compile(EVERYTHING, ["pyproject.toml", "--extra", "dev"], upgrade=upgrade)
    same = ["--constraints", str(EVERYTHING.relative_to(ROOT))]
    with tempfile.TemporaryDirectory() as directory:
        excludes = Path(directory) / "excludes"
        for image, left_out in IMAGES.items():
            excludes.write_text("\n".join(left_out))
            source = ["pyproject.toml", "--extra", image, *same, "--excludes", str(excludes)]
            _compile(lock_of(image), source, upgrade=upgrade)
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    _compile(lock_of(BUILD), ["-", *same], upgrade=upgrade, text="\n".join(tools))
    return 0


if __name__ == "__main__":
    sys.exit(main())
