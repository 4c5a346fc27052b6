"""What is in the images, and what they are told to run."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.release import revision
from tests.images.containers import BASE, ROOT, Image
from tests.support.kube_apiserver import kubeconfig

pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]

LARGEST = {"operator": 110e6, "server": 330e6}
"""Bytes on top of the base image."""


def kind(image: Image) -> str:
    return image.name.rpartition("modelops-")[2].partition(":")[0]


def commands_of(image: str) -> list[list[str]]:
    """Return every command line that the chart or a release gives to an image."""
    if image == "operator":
        documents = yaml.safe_load_all((ROOT / "tests/golden/chart/default.yaml").read_text())
        containers = [one for document in documents for one in _containers(document)]
        return [one["command"] for one in containers if "modelops-operator" in one["image"]]
    found = []
    for runtime in ("modelops", "mlserver", "mlflow"):
        spec = ModelReleaseSpec.model_validate(
            {
                "model": {"name": "price"},
                "serving": {"runtime": runtime},
                "traffic": {"hostnames": ["price.example.com"]},
                "strategy": {"canary": {"steps": [{"setWeight": 100}]}},
            }
        )
        defaults = revision.ServingDefaults("ours", "http://mlflow", "theirs")
        made = revision.candidate(spec, revision.Registered("1", "r", {}), defaults, datetime.now(UTC))
        pod = revision.pod_template(spec, "price", "uid", made, defaults)["spec"]
        both = pod.get("initContainers", []) + pod["containers"]
        found += [one["command"] for one in both if one["image"] == "ours"]
    return found


def _containers(document: dict[str, Any] | None) -> list[dict[str, Any]]:
    pod = ((document or {}).get("spec") or {}).get("template", {}).get("spec", {})
    return pod.get("containers", [])


def test_image_is_told_what_it_can_do(image: Image) -> None:
    """Every command line of a manifest exists; the entry point is the first of them."""
    commands = commands_of(kind(image))
    assert image.config["Entrypoint"] in commands
    for command in commands:
        if command == ["python", "-m", "modelops.app"]:
            continue  # it takes no words; test_operator runs it
        done = image.run([*command, "--help"])
        assert done.returncode == 0, done.stdout
        assert "Usage:" in done.stdout


def test_image_runs_as_nobody_and_with_nothing_to_become_somebody(image: Image) -> None:
    """A numeric user, as `runAsNonRoot` needs it; no setuid or setgid file; no pip, no compiler."""
    assert image.config["User"] == "65532:65532"
    files = (Path(where) / name for where, _, names in os.walk(image.root) for name in names)
    assert [path for path in files if path.lstat().st_mode & 0o6000 and not path.is_symlink()] == []
    assert image.run(["which", "pip", "gcc", "cc"]).stdout == ""
    assert image.run(["id", "-un"]).stdout == "modelops\n"
    assert image.run(["sh", "-c", "touch /opt/code/x"]).stdout.endswith("Read-only file system\n")


def test_image_has_no_torch_and_keeps_its_size(image: Image) -> None:
    """What comes on top of the base image is bounded."""
    unwanted = {"operator": ("torch", "kubernetes", "mlflow", "numpy", "pandas"), "server": ("torch", "kubernetes")}
    assert [name for name in unwanted[kind(image)] if (image.packages / name).exists()] == []
    base = Image.open(BASE)
    try:
        assert image.size - base.size < LARGEST[kind(image)]
    finally:
        base.close()


def test_everything_is_compiled(image: Image) -> None:
    """Nothing can be written later, and a start that compiles takes seconds."""
    sources = [*image.packages.rglob("*.py"), *(image.root / "opt/code").rglob("*.py")]
    assert len(sources) > 1000
    lacking = [path for path in sources if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))]
    assert [path.name for path in lacking if "templates" not in str(path)] == []


def test_labels_say_what_it_is(image: Image) -> None:
    """Title, version and commit."""
    labels = {key.rpartition(".")[2]: value for key, value in image.config["Labels"].items()}
    assert labels["title"] == f"modelops-{kind(image)}"
    assert labels["version"] == "0.1.0"
    assert len(labels["revision"].removesuffix("-dirty")) == 40


def test_the_program_works_in_it(operator: Image, tmp_path: Path) -> None:
    """A manifest is judged; a kubeconfig that needs the package that is left out is one line; git is there, and ssh."""
    done = operator.run(["modelops", "validate", "/mnt/digits/v1"], mounts={"/mnt": ROOT / "examples"})
    assert done.returncode == 0, done.stdout
    config = yaml.safe_load(kubeconfig("https://127.0.0.1:1", ""))
    config["users"][0]["user"] = {"exec": {"command": "fetch-a-token"}}
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    tmp_path.chmod(0o755)
    done = operator.run(["modelops", "get", "datasets", "--kubeconfig=/mnt/config"], mounts={"/mnt": tmp_path})
    assert done.returncode != 0
    assert "needs the Python package kubernetes" in done.stdout
    assert operator.run(["git", "ls-remote", "https://127.0.0.1:1/x"]).stdout.startswith("fatal: unable to access")
    assert "Connection refused" in operator.run(["git", "ls-remote", "ssh://127.0.0.1:1/x"]).stdout
