"""Everything that a team can get wrong, in one repository, beside a chain that is right.

Each row gets one clear line: where, what, what to do, in the condition of the object it is about, or of the GitSource
when there is no object. The good chain is trained and released meanwhile, and nothing of it is touched.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examples.demo.program import Program

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DATASET, GITSOURCE, KINDS, MODELRELEASE, TRAININGRUN
from tests.chaos.house import git, until

pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(420)]

HEADER = "id,area,price"
_RNG = random.Random(5)
GOOD = [(f"r{i}", round(_RNG.uniform(20, 200), 2)) for i in range(300)]
ROWS = [f"{name},{area},{3 * area + 5:.2f}" for name, area in GOOD]
SPEC = """\
apiVersion: modelops.dev/v1alpha1
kind: Dataset
metadata: {name: NAME}
spec:
  source: {git: {path: data/NAME.csv}}
  task: regression
  target: price
  schema:
    columns:
    - {name: id, type: string}
    - {name: area, type: float, min: 0}
    - {name: price, type: float, nullable: true}
  checks: {minRows: 20}
  rows: {maxInvalidPercent: 5}
  split: {by: hash, key: id, percent: {train: 60, validation: 20, test: 20}}
"""


def _table(*lines: str, header: str = HEADER) -> bytes:
    return "\n".join([header, *lines, ""]).encode()


DATA: dict[str, tuple[bytes, str]] = {
    "columns": (
        _table(*ROWS, header="id,surface,price"),
        "data/columns.csv: the header misses column 'area' and has unknown column 'surface'; correct",
    ),
    "types": (
        _table(*[line.replace(",", ",many ", 1) for line in ROWS]),
        "area is not of type float (300, first in line 2)",
    ),
    "empty": (b"", "data/empty.csv: the file has no header line; add"),
    "headeronly": (_table(), "data/headeronly.csv: there is no row below the header; add data"),
    "latin": (_table(*ROWS, "é,1,2").decode().encode("latin-1"), "data/latin.csv: line 302 is not UTF-8; save"),
    "nul": (_table(*ROWS) + b"a\0b,1,2\n", "is NUL; this is not a text file, save it as UTF-8 CSV"),
    "wide": (
        ("a," * 1_000_000 + "z\n" + "1," * 1_000_000 + "1\n").encode(),
        "data/wide.csv: 1000001 columns, at most 5000 are read",
    ),
    "long": (_table(*ROWS, "x" * 40_000_000 + ",1,2"), "data/long.csv: line 302 has 38 MiB, at most 1 are read"),
    "quotes": (_table(*ROWS, '"open,1,2'), "data/quotes.csv: CSV parse error: Row #302"),
    "twice": (_table(*ROWS, header="id,area,area"), "data/twice.csv: column 'area' stands twice in the header"),
    "constant": (_table(*[f"{n},{a},7" for n, a in GOOD]), "target 'price' has the same value in every row"),
    "missing": (_table(*[f"{n},{a}," for n, a in GOOD]), "target 'price' has no value in any row"),
    "few": (
        _table(*[f"a,{a},{p}" for (_, a), p in zip(GOOD, range(300), strict=True)]),
        "rows none falls into validation (20 %); add rows",
    ),
}
RUN = """\
apiVersion: modelops.dev/v1alpha1
kind: TrainingRun
metadata: {name: NAME}
spec:
  datasetRef: {name: DATA}
  model: {name: NAME}
  prepare: {drop: [id]}
  trainer: {builtin: torch-mlp}
  hyperparameters: HYPER
  compute: {timeout: 5m, retries: 0}
"""
RELEASE = """\
apiVersion: modelops.dev/v1alpha1
kind: ModelRelease
metadata: {name: NAME}
spec:
  model: {name: MODEL, from: {trainingRun: RUN}}
  traffic: {hostnames: [NAME.example.com]}
  strategy: {canary: {steps: [{setWeight: 100}]}}
"""
RUNS = {
    "nodata": ("nothing", "{}", "DependencyNotReady", "there is no Dataset nothing in namespace default"),
    "nan": (
        "good",
        "{hidden: [8], learningRate: 10, weightDecay: 10, epochs: 200, patience: 200}",
        "Failed",
        "hyperparameters: the loss is not a number after epoch",
    ),
    "misspelt": ("good", "{learningRat: 0.1}", "", "did you mean learningRate?"),
    "wrongtype": ("good", "{epochs: many}", "", "epochs: Input should be a valid integer"),
}
FILES = {
    "broken.yaml": ("a: [", "deploy/broken.yaml:"),
    "twice.yaml": ("kind: Dataset\nkind: Dataset\n", "deploy/twice.yaml:2"),
    "unknown.yaml": ("apiVersion: modelops.dev/v1alpha1\nkind: Datset\nmetadata: {name: a}\n", "deploy/unknown.yaml:"),
    "field.yaml": (SPEC.replace("NAME", "field").replace("target:", "targt:"), "deploy/field.yaml:7"),
    "type.yaml": (SPEC.replace("NAME", "type").replace("minRows: 20", "minRows: lots"), "deploy/type.yaml:"),
    "again.yaml": (SPEC.replace("NAME", "good"), "Dataset/good"),
    "elsewhere.yaml": (
        SPEC.replace("name: NAME", "name: e, namespace: other"),
        "namespace other is not the GitSource's",
    ),
    "source.yaml": (
        "apiVersion: modelops.dev/v1alpha1\nkind: GitSource\nmetadata: {name: again}\nspec: {url: https://a.example.com}\n",
        "a GitSource does not apply GitSource",
    ),
}  # fmt: skip


class Mess:
    """The repository, its home, and the good chain in it."""

    def __init__(self, directory: Path) -> None:
        self.repo, self.state = directory / "mess", directory / "state"
        self.program = Program(self.state)

    def write(self, path: str, text: str | bytes) -> None:
        (self.repo / path).parent.mkdir(parents=True, exist_ok=True)
        (self.repo / path).write_bytes(text if isinstance(text, bytes) else text.encode())

    def commit(self, message: str) -> None:
        git(self.repo, "add", "-A")
        git(self.repo, "commit", "-q", "--allow-empty", "-m", message)

    def spoil(self) -> None:
        """Commit every bad file at once."""
        for name, (data, hyper, _, _) in RUNS.items():
            text = RUN.replace("NAME", name).replace("DATA", data).replace("HYPER", hyper)
            self.write(f"deploy/run-{name}.yaml", text)
        for name, (text, _) in FILES.items():
            self.write(f"deploy/{name}", text)
        self.commit("A mess")

    def mend(self) -> None:
        """Commit without any file that the source refuses; wait until it is content."""
        for name in ("misspelt", "wrongtype"):
            (self.repo / f"deploy/run-{name}.yaml").unlink(missing_ok=True)
        for name in FILES:
            (self.repo / f"deploy/{name}").unlink(missing_ok=True)
        self.commit("Without what is broken")
        until(lambda: self.condition(GITSOURCE, "mess")[0] == "True", 60, str(self.condition(GITSOURCE, "mess")))

    def build(self) -> None:
        for name, (content, _) in {**DATA, "good": (_table(*ROWS), "")}.items():
            self.write(f"data/{name}.csv", content)
            self.write(f"deploy/data-{name}.yaml", SPEC.replace("NAME", name))
        hyper = "{hidden: [8], epochs: 3}"
        self.write("deploy/run-good.yaml", RUN.replace("NAME", "good").replace("DATA", "good").replace("HYPER", hyper))
        self.write(
            "deploy/release-good.yaml", RELEASE.replace("NAME", "good").replace("MODEL", "good").replace("RUN", "good")
        )
        self.write(
            "deploy/release-norun.yaml", RELEASE.replace("NAME", "norun").replace("MODEL", "x").replace("RUN", "nobody")
        )
        self.write(
            "deploy/release-other.yaml", RELEASE.replace("NAME", "other").replace("MODEL", "y").replace("RUN", "good")
        )
        git(self.repo.parent, "init", "-q", "-b", "main", str(self.repo))
        self.spoil()

    def up(self) -> None:
        self.program.must("local", "up", "--repo", str(self.repo), "--detach", timeout=200)
        self.client = KubeClient.from_kubeconfig(str(self.state / "kubeconfig"), context="local")

    def condition(self, kind: Any, name: str, type_: str = "Ready") -> tuple[str, str, str]:
        """Return status, reason and message of a condition, or empty texts."""
        status = (self.client.get(kind.resource, "default", name) or {}).get("status") or {}
        found = next((c for c in status.get("conditions") or () if c["type"] == type_), None)
        return ("", "", "") if found is None else (found["status"], found["reason"], found["message"])


@pytest.fixture(scope="module")
def mess(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mess]:
    found = Mess(tmp_path_factory.mktemp("bad"))
    found.build()
    found.up()
    try:
        yield found
    finally:
        found.program.run("local", "down", timeout=90)


def one_line(message: str) -> None:
    assert message
    assert "\n" not in message
    assert "Traceback" not in message
    assert len(message) <= 1024


@pytest.mark.parametrize("name", DATA)
def test_bad_data_is_told_by_its_dataset(mess: Mess, name: str) -> None:
    """The step refuses it, the Dataset says why, and is not Ready."""
    until(lambda: mess.condition(DATASET, name)[1] == "PreparationFailed", 200, str(mess.condition(DATASET, name)))
    status, _, message = mess.condition(DATASET, name)
    one_line(message)
    assert status == "False"
    assert DATA[name][1] in message
    assert "exit code 64" in message, "bad input is not tried again"


@pytest.mark.parametrize("name", RUNS)
def test_bad_run_is_told_by_its_run_or_its_source(mess: Mess, name: str) -> None:
    """What the schema can see never becomes an object; what only training shows stands in the run."""
    _, _, reason, words = RUNS[name]
    if not reason:
        said = mess.condition(GITSOURCE, "mess")[2]
        assert mess.client.get(TRAININGRUN.resource, "default", name) is None, said
        return
    until(lambda: mess.condition(TRAININGRUN, name)[1] == reason, 240, str(mess.condition(TRAININGRUN, name)))
    message = mess.condition(TRAININGRUN, name)[2]
    one_line(message)
    assert words in message


def test_dangling_references_of_releases_are_told(mess: Mess) -> None:
    """A run that is not there, and a run that trains another model."""
    until(lambda: mess.condition(MODELRELEASE, "norun")[0] == "False", 60, "no status")
    # Until MLflow is up, both say that it does not answer.
    until(lambda: mess.condition(MODELRELEASE, "norun")[1] == "DependencyNotReady", 60, "it waits for something else")
    assert "there is no TrainingRun nobody in namespace default" in mess.condition(MODELRELEASE, "norun")[2]
    until(lambda: mess.condition(MODELRELEASE, "other")[1] == "ModelMismatch", 60, "no mismatch")
    assert "TrainingRun good registers model good, not y; make them agree" in mess.condition(MODELRELEASE, "other")[2]


def test_bad_files_are_told_by_the_source_and_by_validate(mess: Mess) -> None:
    """Every one with file and line: the first five in the condition, all of them by `modelops validate`."""
    mess.spoil()
    until(lambda: mess.condition(GITSOURCE, "mess")[1] == "BuildFailed", 60, str(mess.condition(GITSOURCE, "mess")))
    message = mess.condition(GITSOURCE, "mess")[2]
    one_line(message)
    assert "more" in message
    done = mess.program.run("validate", str(mess.repo / "deploy"))
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    for name in ("broken.yaml", "twice.yaml", "unknown.yaml", "field.yaml", "type.yaml", "again.yaml"):
        assert name in done.stdout + done.stderr, name
    for words in ("did you mean learningRate?", "epochs: Input should be a valid integer"):
        assert words in done.stdout + done.stderr


def test_each_bad_file_is_told_when_it_is_the_only_one(mess: Mess) -> None:
    """One after another: the condition names the file and what is wrong; then all is well, and nothing was pruned."""
    until(lambda: mess.condition(MODELRELEASE, "good")[0] == "True", 240, str(mess.condition(TRAININGRUN, "good")))
    mess.mend()
    before = objects(mess)
    for name, (text, words) in FILES.items():
        mess.write(f"deploy/{name}", text)
        mess.commit(f"With {name}")
        commit = git(mess.repo, "rev-parse", "HEAD").strip()
        until(lambda commit=commit: attempted(mess) == commit, 30, f"{name} was not looked at")  # type: ignore[misc]
        status, reason, message = mess.condition(GITSOURCE, "mess")
        assert (status, reason) == ("False", "BuildFailed")
        assert words in message
        one_line(message)
        (mess.repo / f"deploy/{name}").unlink()
    mess.commit("Without them")
    until(lambda: mess.condition(GITSOURCE, "mess")[0] == "True", 30, str(mess.condition(GITSOURCE, "mess")))
    assert objects(mess) == before


def test_renamed_object_is_replaced_in_one_sync(mess: Mess) -> None:
    """The new one is applied before the old one is pruned; nothing else is touched."""
    until(lambda: mess.condition(MODELRELEASE, "good")[0] == "True", 240, str(mess.condition(TRAININGRUN, "good")))
    mess.mend()
    before = objects(mess)
    path = mess.repo / "deploy/release-norun.yaml"
    path.write_text(path.read_text().replace("name: norun", "name: renamed"))
    mess.commit("Another name")
    until(lambda: mess.client.get(MODELRELEASE.resource, "default", "norun") is None, 30, "the old one is there")
    names = {(kind, name) for kind, name, _ in objects(mess) - before}
    assert names == {("ModelRelease", "renamed")}
    assert {(kind, name) for kind, name, _ in before - objects(mess)} == {("ModelRelease", "norun")}
    path.write_text(path.read_text().replace("name: renamed", "name: norun"))
    mess.commit("The old name")
    until(lambda: mess.client.get(MODELRELEASE.resource, "default", "renamed") is None, 30, "the new one is there")


def test_deleted_branch_and_unreachable_remote_touch_nothing(mess: Mess) -> None:
    """The source says which branch, or which remote; every object stays, the release serves on, then all is well."""
    until(lambda: mess.condition(MODELRELEASE, "good")[0] == "True", 240, str(mess.condition(TRAININGRUN, "good")))
    before = objects(mess)
    git(mess.repo, "branch", "-m", "main", "trunk")
    until(lambda: "main" in mess.condition(GITSOURCE, "mess")[2] and not ok(mess), 30, "the branch is not missed")
    one_line(mess.condition(GITSOURCE, "mess")[2])
    git(mess.repo, "branch", "-m", "trunk", "main")
    until(lambda: mess.condition(GITSOURCE, "mess")[1] in ("Succeeded", "BuildFailed"), 60, "does not come back")
    mess.repo.rename(mess.repo.with_name("away"))
    # What was Ready stays so while a remote is away; that it is tried again is said beside it.
    until(lambda: "mess does not exist" in said(mess), 30, "the remote is not missed")
    assert objects(mess) == before
    assert mess.condition(MODELRELEASE, "good")[0] == "True"
    mess.repo.with_name("away").rename(mess.repo)
    until(lambda: ok(mess) and "does not exist" not in said(mess), 90, "does not come back")


def test_good_chain_in_the_same_repository_is_released(mess: Mess) -> None:
    """One bad object harms nobody else."""
    until(lambda: mess.condition(MODELRELEASE, "good")[0] == "True", 240, str(mess.condition(TRAININGRUN, "good")))
    status = (mess.client.get(MODELRELEASE.resource, "default", "good") or {})["status"]
    assert status["stable"]["version"] == "1"
    assert json.dumps(status["lineage"])


def ok(mess: Mess) -> bool:
    return mess.condition(GITSOURCE, "mess")[1] in ("Succeeded", "BuildFailed")


def said(mess: Mess) -> str:
    """Return everything that the source's conditions say."""
    status = (mess.client.get(GITSOURCE.resource, "default", "mess") or {}).get("status") or {}
    return " | ".join(condition["message"] for condition in status.get("conditions") or ())


def attempted(mess: Mess) -> str:
    status = (mess.client.get(GITSOURCE.resource, "default", "mess") or {}).get("status") or {}
    return str(status.get("lastAttemptedRevision", "")).rpartition(":")[2]


def objects(mess: Mess) -> set[tuple[str, str, str]]:
    """Return kind, name and uid of everything there is."""
    return {
        (kind.resource.kind, obj["metadata"]["name"], obj["metadata"]["uid"])
        for kind in KINDS
        for obj in mess.client.list(kind.resource, None)
    }
