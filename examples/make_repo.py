"""Makes a real git repository from an example, commits its versions, and gives the traffic for it.

For the demo and the tests: `make_repository`, then `commit_version` 1 to 3, and `traffic_rows` for request bodies.
Also by hand: `python examples/make_repo.py digits /tmp/digits`.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
EXAMPLES = ("digits", "real-estate")
NAMES = {"digits": "digits", "real-estate": "listing-price"}
"""Name of the TrainingRun, the ModelRelease and the registered model of each example."""
DATASETS = {"digits": "digits", "real-estate": "listings"}
"""Name of the Dataset of each example."""
HOSTNAMES = {"digits": "digits.example.com", "real-estate": "prices.example.com"}
SUBJECTS = {
    1: "Release a first model",
    2: "Train a larger network for longer",
    3: "Take the inputs as they come",
}
NO_READING = 1.7976931348623157e308
"""What a sensor's driver sends when it is stuck: the largest double. A number to JSON, infinite to a float32."""
ODD_EVERY = 20
"""One row in so many holds stuck readings: 5 percent."""


def make_repository(example: str, path: Path) -> str:
    """Create a repository with the example's data and no manifests yet; return its commit.

    Args:
        example: `digits` or `real-estate`.
        path: Where the work tree goes; must not exist or be empty.
    """
    path.mkdir(parents=True, exist_ok=True)
    _git(path, "init", "--quiet", "--initial-branch=main")
    _generator(example).write(path)
    shutil.copy(HERE / example / "README.md", path / "README.md")
    return _commit(path, "Add the data")


def commit_version(path: Path, number: int, *, example: str = "digits") -> str:
    """Commit version 1, 2 or 3 of the example's manifests below `deploy/`; return the commit."""
    deploy = path / "deploy"
    deploy.mkdir(exist_ok=True)
    for manifest in sorted((HERE / example / f"v{number}").glob("*.yaml")):
        shutil.copy(manifest, deploy / manifest.name)
    return _commit(path, SUBJECTS[number])


def traffic_rows(example: str) -> list[dict[str, Any]]:
    """Return request bodies of the Open Inference Protocol, one row each; 1 in 20 holds stuck readings.

    Send them to `/v2/models/<name>/infer`. They carry no target and no id.
    """
    generator = _generator(example)
    left_out = {"id", "digit", "listing_id", "price"}
    bodies = []
    for number, row in enumerate(generator.rows()):
        values = {name: value for name, value in row.items() if name not in left_out}
        if number % ODD_EVERY == ODD_EVERY - 1:
            stuck = ("pixel_3_3", "pixel_3_4", "pixel_4_3", "pixel_4_4") if example == "digits" else ("living_area",)
            values.update(dict.fromkeys(stuck, NO_READING))
        bodies.append({"inputs": [_tensor(name, value) for name, value in values.items()]})
    return bodies


def _tensor(name: str, value: object) -> dict[str, Any]:
    if value == "":
        # Rooms are the only column with missing values; JSON null stands for missing in any type.
        return {"name": name, "datatype": "INT64", "shape": [1], "data": [None]}
    if isinstance(value, str):
        return {"name": name, "datatype": "BYTES", "shape": [1], "data": [value]}
    if name in {"year_built", "year_sold", "rooms"}:
        return {"name": name, "datatype": "INT64", "shape": [1], "data": [value]}
    return {"name": name, "datatype": "FP64", "shape": [1], "data": [float(str(value))]}


def _generator(example: str) -> ModuleType:
    if example not in EXAMPLES:
        msg = f"{example!r} is not an example; use one of {', '.join(EXAMPLES)}"
        raise ValueError(msg)
    spec = importlib.util.spec_from_file_location(
        f"example_{example.replace('-', '_')}", HERE / example / "generate.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _commit(path: Path, subject: str) -> str:
    _git(path, "add", "--all")
    _git(path, "commit", "--quiet", "--message", subject)
    return _git(path, "rev-parse", "HEAD")


def _git(path: Path, *arguments: str) -> str:
    # The author is set here and the user's own configuration left out: hooks, signing and aliases are not ours to run.
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(path),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_NAME": "modelops example" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "example@example.com" for who in ("AUTHOR", "COMMITTER")},
    }
    done = subprocess.run(["git", *arguments], cwd=path, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    make_repository(sys.argv[1], Path(sys.argv[2]))
    for version, subject in SUBJECTS.items():
        print(commit_version(Path(sys.argv[2]), version, example=sys.argv[1]), subject)  # noqa: T201
