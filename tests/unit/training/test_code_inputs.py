"""A team's code as an input of its attempt: which commits start one, and what becomes known of it. Real git."""

import json
from pathlib import Path
from typing import Any

import pytest

from modelops.adapters.git import GitMirrors
from modelops.api.kinds import GITSOURCE, TRAININGRUN
from modelops.ports import GitRemote
from tests.support.git_server import Repository
from tests.unit.training.test_walk import NS, RUN_SPEC, World

FILES: dict[str, str | bytes | None] = {
    "data/a.csv": "id,price\na,1\n",
    "deploy/price.yaml": "{}",
    "trainers/price/main.py": "print(1)\n",
    "trainers/price/lib/model.py": "print(2)\n",
    "train.py": "print(3)\n",
}


class Farm(World):
    """The walk, with a repository."""

    def __init__(self, directory: Path) -> None:
        super().__init__(git=GitMirrors(directory / "mirrors", ["file"]))  # type: ignore[arg-type]
        self.repository = Repository.make(directory / "farm.git")
        self.cluster.put(GITSOURCE.resource, self._object("models", {"url": self.repository.url}))
        self.commit(FILES)

    def commit(self, files: dict[str, str | bytes | None], **how: Any) -> str:
        """Commit, fetch as the GitSource does, and reconcile."""
        commit = self.repository.commit(files, **how)
        assert self.git.fetch(self.remote_of(self.repository), branch="main", tag=None, commit=None) == commit
        self.cluster.set_status(GITSOURCE.resource, NS, "models", {"lastAppliedRevision": f"main@sha1:{commit}"})
        self.reconcile()
        return commit

    @staticmethod
    def remote_of(repository: Repository) -> GitRemote:
        """Return a repository as it is fetched from."""
        return GitRemote(repository.url, None)

    def own(self, path: str = "trainers/price", **git: Any) -> None:
        """Let the run train with code of its own."""
        self.cluster.put(
            TRAININGRUN.resource, self._object("price", RUN_SPEC | {"trainer": {"git": {"path": path, **git}}})
        )
        self.reconcile()

    def code(self) -> dict[str, str]:
        """Return what the newest Workflow says of the code."""
        template = next(t for t in self.workflows("tr")[-1]["spec"]["templates"] if t["name"] == "train")
        environment = {entry["name"]: entry.get("value", "") for entry in template["initContainers"][0]["env"]}
        found: dict[str, str] = json.loads(environment["MODELOPS_STEP"])["code"]
        return found


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    found = Farm(tmp_path)
    found.own()
    found.pin()
    found.registered()
    return found


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"README.md": "words\n"}, id="a note"),
        pytest.param({"train.py": "print(4)\n"}, id="other code beside it"),
        pytest.param({"trainers/price2/main.py": "print(1)\n"}, id="a directory whose name begins alike"),
    ],
)
def test_commit_that_does_not_touch_the_code_trains_nothing(farm: Farm, files: dict[str, str | bytes | None]) -> None:
    """The digest is over the names and contents of the code, not over the commit."""
    before = farm.code()["digest"]
    farm.commit(files)
    assert len(farm.workflows("tr")) == 1
    assert farm.status()["lineage"]["codeDigest"] == before


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"trainers/price/lib/model.py": "print(2) # changed\n"}, id="a changed file"),
        pytest.param({"trainers/price/more.py": ""}, id="one more file"),
        pytest.param({"trainers/price/lib/model.py": None, "trainers/price/new.py": "print(2)\n"}, id="a rename"),
        pytest.param({"trainers/price/lib/model.py": None}, id="a file less"),
    ],
)
def test_commit_that_touches_the_code_is_a_new_attempt(farm: Farm, files: dict[str, str | bytes | None]) -> None:
    """Names count, and so does every byte; what was trained before is known when the code comes back."""
    before = farm.code()["digest"]
    farm.commit(files)
    assert len(farm.workflows("tr")) == 2
    assert farm.status()["attempt"]["trigger"] == "CodeChanged"
    assert farm.code()["digest"] != before
    farm.registered("2")
    assert farm.status()["lineage"]["codeDigest"] == farm.code()["digest"]
    farm.commit({**dict.fromkeys(files, None), **{k: v for k, v in FILES.items() if k.startswith("trainers")}})
    assert (len(farm.workflows("tr")), farm.status()["modelVersion"]) == (2, "1")


def test_forced_push_that_keeps_the_code_trains_nothing(farm: Farm) -> None:
    """History is no input."""
    farm.commit(FILES, orphan=True)
    assert len(farm.workflows("tr")) == 1


def test_file_is_code_by_itself(farm: Farm) -> None:
    """Not what lies beside it."""
    farm.own("train.py")
    assert farm.code()["path"] == "train.py"
    farm.registered("2")
    farm.commit({"trainers/price/main.py": "print(9)\n"})
    assert len(farm.workflows("tr")) == 2


@pytest.mark.parametrize(
    ("path", "said"),
    [
        pytest.param("trainers/none", "trainers/none: neither a file nor a directory at commit", id="nothing"),
        pytest.param("link.py", "link.py: neither a file nor a directory at commit", id="a symbolic link"),
    ],
)
def test_path_without_code_stalls_the_run(farm: Farm, path: str, said: str) -> None:
    """Where, what, what to do; and the version that was registered stays."""
    farm.commit({"link.py": "train.py"}, modes={"link.py": "120000"})
    farm.own(path)
    assert farm.condition("Stalled")["reason"] == "CodeNotFound"
    assert said in farm.condition("Stalled")["message"]
    assert "correct spec.trainer.git.path or commit it" in farm.condition("Stalled")["message"]
    assert farm.status()["modelVersion"] == "1"


def test_code_of_a_source_that_is_not_there_is_waited_for(farm: Farm) -> None:
    """Another team may be late."""
    farm.own(sourceRef={"name": "others"})
    assert farm.condition("Ready")["reason"] == "DependencyNotReady"
    assert farm.condition("Ready")["message"] == f"there is no GitSource others in namespace {NS}"


def test_untrusted_containers_hold_no_address_and_no_credential(farm: Farm) -> None:
    """Of all containers of an attempt, those that run foreign code have their input and nothing else."""
    spec = farm.workflows("tr")[-1]["spec"]
    foreign = {}
    for template in spec["templates"]:
        for container in template.get("initContainers", ()):
            if container["name"] in ("code", "predict"):
                foreign[container["name"]] = container
                closed = {entry["name"]: entry for entry in json.loads(template["podSpecPatch"])["initContainers"]}
                assert {"$patch": "delete", "mountPath": "/var/run/argo"} in closed[container["name"]]["volumeMounts"]
    assert set(foreign) == {"code", "predict"}
    for container in foreign.values():
        assert [entry["name"] for entry in container["env"]] == ["MODELOPS_STEP"]
        assert "http" not in json.dumps(container).replace(json.dumps(farm.repository.url)[1:-1], "")
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert mounts == {"/tmp": "scratch", "/var/run/secrets/kubernetes.io/serviceaccount": "nothing"}


@pytest.mark.parametrize(
    ("hyperparameters", "said"),
    [
        pytest.param({"learningRat": 0.1}, "has no such hyperparameter; did you mean learningRate?", id="unknown"),
        pytest.param({"epochs": "many"}, "epochs: Input should be a valid integer", id="a word for a number"),
        pytest.param({"hidden": []}, "hidden: Tuple should have at least 1 item", id="no layer"),
        pytest.param({"learningRate": 0}, "learningRate: Input should be greater than 0", id="out of bounds"),
    ],
)
def test_hyperparameter_that_is_none_stalls_the_run(farm: Farm, hyperparameters: dict[str, Any], said: str) -> None:
    """The builtin knows its own; the object says where and what."""
    farm.train(hyperparameters=hyperparameters)
    farm.reconcile()
    stalled = farm.condition("Stalled")
    assert stalled["reason"] == "InvalidSpec"
    assert said in stalled["message"]
    assert "\n" not in stalled["message"]
    assert len(farm.workflows("tr")) == 1
