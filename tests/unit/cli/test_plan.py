"""`modelops plan`: differences after defaults, what follows and why, what would be pruned, and nothing written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelops.adapters.cluster import KubeClient
from modelops.api import kinds
from modelops.api.labels import GITSOURCE as DELIVERED_BY
from modelops.api.v1alpha1.dataset import DatasetSpec, DatasetStatus
from modelops.api.v1alpha1.trainingrun import TrainingRunSpec
from modelops.domain import attempts
from modelops.domain.training.inputs import Data, inputs_of
from tests.unit.cli.conftest import Run
from tests.unit.cli.objects import DATASET, NOW, RELEASE, RUN, condition, pinned, record, revision, serving

Put = Callable[..., dict[str, Any]]
STEPS = "canary 10 % → analyze 5m → pause for a human → 100 %"
RELEASED = f"the version that TrainingRun price registers is released: {STEPS}"


def manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "modelops.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


ATTEMPT: dict[str, Any] = {
    "id": "a1",
    "trigger": "Created",
    "inputsHash": "sha256:0",
    "startedAt": "2026-01-01T12:00:00Z",
    "finishedAt": "2026-01-01T12:01:00Z",
}
BEGINS = {
    "TrainingRun": "an attempt starts: none did, or it was ended, while it was suspended",
    "Dataset": "is prepared: it was not while it was suspended",
}


def write(directory: Path, *objects: dict[str, Any]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for obj in objects:
        (directory / f"{obj['kind'].lower()}-{obj['metadata']['name']}.yaml").write_text(yaml.safe_dump(obj))
    return directory


@pytest.fixture
def chain(put: Put) -> None:
    """Data that is pinned, a run that registered version 1, a release that serves it."""
    put(kinds.DATASET, "listings", DATASET, pinned())
    put(kinds.TRAININGRUN, "price", RUN, {"observedGeneration": 1, "modelVersion": "1"})
    put(kinds.MODELRELEASE, "price", RELEASE, serving("1"))
    hosted = {"model": {"name": "hosted", "version": "1"}, "traffic": {"hostnames": ["price.b"]}}
    put(kinds.MODELRELEASE, "hosted", {**RELEASE, **hosted}, serving("1"))


def planned(done: str) -> dict[str, list[str]]:
    """Return kind → what follows, for everything the JSON holds."""
    found = json.loads(done)
    return {one["kind"]: one["consequences"] for one in found["objects"]}


def test_unchanged_manifests_change_nothing(modelops: Run, chain: None, tmp_path: Path) -> None:
    """What the server fills in is no difference."""
    write(tmp_path, manifest("Dataset", "listings", DATASET), manifest("TrainingRun", "price", RUN))

    done = modelops("plan", "-f", str(tmp_path), "--exit-code")

    assert (done.code, done.lines[-1]) == (0, "nothing would change; 2 unchanged")
    assert all(line.startswith("= unchanged") for line in done.lines[:-1])


@pytest.mark.parametrize(
    ("kind", "name", "spec", "follows"),
    [
        pytest.param(
            "TrainingRun",
            "price",
            {**RUN, "hyperparameters": {"epochs": 80}},
            {
                "TrainingRun": ["a new attempt starts: spec.hyperparameters.epochs 50 → 80"],
                "ModelRelease": [RELEASED],
            },
            id="other hyperparameters train, and what is registered is released",
        ),
        pytest.param(
            "TrainingRun",
            "price",
            {**RUN, "compute": {"retries": 5}},
            {"TrainingRun": ["nothing is trained: only spec.compute changed, which no model is made of"]},
            id="compute is no input",
        ),
        pytest.param(
            "TrainingRun",
            "price",
            {**RUN, "compute": {"pool": "gpu-z"}},
            {"TrainingRun": ["Stalled: PoolNotFound: there is no ComputePool 'gpu-z'; there is: none"]},
            id="an unknown pool stalls",
        ),
        pytest.param(
            "TrainingRun",
            "price",
            {**RUN, "datasetRef": {"name": "gone"}},
            {
                "TrainingRun": ["waits: there is no Dataset gone, neither here nor in the plan"],
                "ModelRelease": [RELEASED],
            },
            id="a dangling reference waits",
        ),
        pytest.param(
            "Dataset",
            "listings",
            {**DATASET, "checks": {"minRows": 100}},
            {
                "Dataset": ["is prepared again: spec.checks changed"],
                "TrainingRun": ["a new attempt starts once Dataset listings is pinned again: its data changes"],
                "ModelRelease": [RELEASED],
            },
            id="another contract prepares, trains and releases",
        ),
        pytest.param(
            "ModelRelease",
            "price",
            {**RELEASE, "strategy": {"canary": {"steps": [{"setWeight": 50}]}}},
            {"ModelRelease": ["no new revision: only spec.strategy changed"]},
            id="a strategy is no part of a revision",
        ),
        pytest.param(
            "ModelRelease",
            "price",
            {**RELEASE, "serving": {"resources": {"limits": {"cpu": "2"}}}},
            {
                "ModelRelease": [
                    (
                        "a new revision of version 1 → canary 10 % → analyze 5m → pause for a human → 100 % "
                        "(spec.serving.resources + {limits: {cpu: 2}})"
                    )
                ]
            },
            id="another template is a new revision",
        ),
        pytest.param(
            "ModelRelease",
            "price",
            {**RELEASE, "suspend": True},
            {"ModelRelease": ["is suspended: nothing happens until: modelops resume modelrelease price"]},
            id="suspended: nothing happens",
        ),
        pytest.param(
            "ModelRelease",
            "second",
            RELEASE,
            {
                "ModelRelease": [
                    (
                        "Stalled: AliasConflict: ModelRelease NAMESPACE/price is older and moves alias champion of "
                        "model price; give this one another promotedAlias"
                    )
                ]
            },
            id="a second release of one alias stalls",
        ),
        pytest.param(
            "ModelRelease",
            "second",
            {
                **RELEASE,
                "model": {**RELEASE["model"], "promotedAlias": "b"},
                "traffic": {"hostnames": ["a.b", "price.b"]},
            },
            {
                "ModelRelease": [
                    (
                        "Stalled: RouteTaken: ModelRelease NAMESPACE/hosted is older and takes price.b/; "
                        "set spec.traffic.hostnames to what is this release's alone"
                    )
                ]
            },
            id="a second release of one host stalls",
        ),
    ],
)
def test_what_follows_is_said_with_its_reason(
    modelops: Run,
    chain: None,
    tmp_path: Path,
    namespace: str,
    kind: str,
    name: str,
    spec: dict[str, Any],
    follows: dict[str, list[str]],
) -> None:
    """By the functions that the operator decides with."""
    write(tmp_path, manifest(kind, name, spec))

    done = modelops("plan", "-f", str(tmp_path), "-o", "json")

    assert done.code == 0
    expected = {one: [line.replace("NAMESPACE", namespace) for line in lines] for one, lines in follows.items()}
    assert planned(done.out) == expected


@pytest.mark.parametrize(
    ("kind", "name", "spec", "status"),
    [
        pytest.param("TrainingRun", "price", RUN, {"history": [{**ATTEMPT, "outcome": "Suspended"}]}, id="a run"),
        pytest.param("Dataset", "listings", DATASET, {"workflow": {"name": "w", "phase": "Suspended"}}, id="data"),
    ],
)
def test_what_suspend_ends_and_resume_begins_is_said(
    modelops: Run, put: Put, tmp_path: Path, kind: str, name: str, spec: dict[str, Any], status: dict[str, Any]
) -> None:
    """The Workflow that runs is named; on resume another attempt starts."""
    which = {"TrainingRun": kinds.TRAININGRUN, "Dataset": kinds.DATASET}[kind]
    put(kinds.DATASET, "listings", DATASET, pinned())
    put(which, name, spec, {"attempt": ATTEMPT, "workflow": {"name": "w", "phase": "Running"}})
    resumed = write(tmp_path / "resumed", manifest(kind, name, spec))
    suspended = write(tmp_path / "suspended", manifest(kind, name, {**spec, "suspend": True}))

    ends = planned(modelops("plan", "-f", str(suspended), "-o", "json").out)[kind]
    put(which, name, {**spec, "suspend": True}, {"attempt": ATTEMPT, **status})
    begins = planned(modelops("plan", "-f", str(resumed), "-o", "json").out)[kind]

    assert ends[0] == "its Workflow w is ended"
    assert begins == ["is reconciled again", BEGINS[kind]]


TEMPLATE: dict[str, Any] = {"prometheus": {"query": "q"}, "thresholdRange": {"min": 0.9}}
TEMPLATED = {**RELEASE, "analysis": {"metrics": [{"name": "orders", "template": {"name": "rate"}}]}}


def test_template_is_found_in_the_plan_or_in_the_cluster(modelops: Run, chain: None, put: Put, tmp_path: Path) -> None:
    """Nowhere: the release would stall. A changed one is told with the releases that name it."""
    stalls = (
        "Stalled: InvalidSpec: spec.analysis.metrics[0].template.name: there is no MetricTemplate rate in namespace"
    )
    release = manifest("ModelRelease", "price", TEMPLATED)

    alone = modelops("plan", "-f", str(write(tmp_path / "alone", release)), "-o", "json")
    both = write(tmp_path / "both", release, manifest("MetricTemplate", "rate", TEMPLATE))
    together = modelops("plan", "-f", str(both), "-o", "json")

    (line,) = planned(alone.out)["ModelRelease"]
    assert line.startswith(stalls)
    assert planned(together.out) == {
        "MetricTemplate": [],
        "ModelRelease": ["no new revision: only spec.analysis changed"],
    }

    put(kinds.MODELRELEASE, "price", TEMPLATED, serving("1"))
    put(kinds.METRICTEMPLATE, "rate", {**TEMPLATE, "thresholdRange": {"min": 0.5}})
    changed = modelops("plan", "-f", str(both / "metrictemplate-rate.yaml"), "-o", "json")
    needy = manifest("MetricTemplate", "rate", {**TEMPLATE, "args": [{"name": "currency"}]})
    breaks = modelops("plan", "-f", str(write(tmp_path / "needy", needy)), "-o", "json")

    asks = "is asked so from the next look on by: price"
    assert planned(changed.out) == {"MetricTemplate": [asks]}
    assert planned(breaks.out) == {
        "MetricTemplate": [asks],
        "ModelRelease": [
            (
                "Stalled: InvalidSpec: spec.analysis.metrics[0].template.args: MetricTemplate rate needs currency, "
                "which has no default; add it"
            )
        ],
    }


@pytest.mark.parametrize(
    ("release", "follows"),
    [
        pytest.param(serving("8"), [f"version 7 is released: {STEPS}"], id="an old version is released again"),
        pytest.param(serving("7"), ["version 7, which serves, is wanted: nothing is released"], id="it serves already"),
        pytest.param(
            serving("8", record("7", "RolledBack"), aborted=["rev7"]),
            ["version 7 is wanted, and was given up before: nothing until modelops release retry"],
            id="it was given up",
        ),
    ],
)
def test_inputs_that_were_trained_before_are_used_again(
    modelops: Run, put: Put, tmp_path: Path, release: dict[str, Any], follows: list[str]
) -> None:
    """A revert trains nothing: the plan knows the attempt by the operator's own hash."""
    before = {**RUN, "hyperparameters": {"epochs": 80}}
    data = Data(DatasetSpec.model_validate(DATASET), DatasetStatus.model_validate(pinned()).revision)  # type: ignore[arg-type]
    known = attempts.inputs_hash(inputs_of(TrainingRunSpec.model_validate(RUN), data, None))
    history = [
        {
            "id": "1a2b3c4d",
            "trigger": "Created",
            "inputsHash": known,
            "outcome": "Registered",
            "modelVersion": "7",
            "startedAt": NOW,
            "finishedAt": NOW,
        }
    ]
    put(kinds.DATASET, "listings", DATASET, pinned())
    put(kinds.TRAININGRUN, "price", before, {"observedGeneration": 1, "modelVersion": "8", "history": history})
    put(kinds.MODELRELEASE, "price", RELEASE, release)
    write(tmp_path, manifest("TrainingRun", "price", RUN))

    done = modelops("plan", "-f", str(tmp_path), "-o", "json")

    assert planned(done.out)["ModelRelease"] == follows
    assert planned(done.out)["TrainingRun"] == [
        "nothing is trained: version 7 was made of the same inputs and is used again"
    ]


def test_canary_on_its_way_is_said_to_be_superseded(modelops: Run, put: Put, tmp_path: Path) -> None:
    """Whoever changes the template in the middle of a release should know."""
    put(kinds.TRAININGRUN, "price", RUN, {"observedGeneration": 1, "modelVersion": "2"})
    put(kinds.MODELRELEASE, "price", RELEASE, serving("1", canary=revision("2")))
    write(tmp_path, manifest("ModelRelease", "price", {**RELEASE, "serving": {"image": "own:2"}}))

    done = modelops("plan", "-f", str(tmp_path))

    assert "    → version 2, which is on its way, is superseded" in done.lines


def test_new_objects_are_created_in_order_of_dependence(modelops: Run, tmp_path: Path, namespace: str) -> None:
    """Data, then training, then release; nothing is written."""
    write(
        tmp_path,
        manifest("ModelRelease", "price", RELEASE),
        manifest("TrainingRun", "price", RUN),
        manifest("Dataset", "listings", DATASET),
    )

    done = modelops("plan", "-f", str(tmp_path))

    heads = [line.split("  (")[0] for line in done.lines if line.startswith("+")]
    assert heads == [
        f"+ create    Dataset {namespace}/listings",
        f"+ create    TrainingRun {namespace}/price",
        f"+ create    ModelRelease {namespace}/price",
    ]
    assert done.lines[-1] == "3 to create; 0 unchanged"
    assert modelops("get", "all").out == ""


def test_exit_code_tells_whether_something_would_change(modelops: Run, chain: None, tmp_path: Path) -> None:
    """5 with --exit-code, and only then: 1 and 2 mean other things."""
    write(tmp_path, manifest("TrainingRun", "price", {**RUN, "hyperparameters": {"epochs": 80}}))

    assert modelops("plan", "-f", str(tmp_path), "--exit-code").code == 5
    assert modelops("plan", "-f", str(tmp_path)).code == 0


def test_invalid_manifests_plan_nothing(modelops: Run, tmp_path: Path) -> None:
    """As validate says it, with exit 1."""
    write(tmp_path, manifest("TrainingRun", "price", {**RUN, "trainer": {"builtin": "none"}}))

    done = modelops("plan", "-f", str(tmp_path))

    assert (done.code, done.out) == (1, "")
    assert "trainingrun-price.yaml:" in done.err
    assert done.err.endswith("1 problem; nothing was planned\n")


def test_namespace_that_is_not_there_is_said(modelops: Run, tmp_path: Path) -> None:
    """The server would refuse it; every other object is planned all the same."""
    lost = manifest("TrainingRun", "lost", RUN)
    lost["metadata"]["namespace"] = "nowhere"
    write(tmp_path, lost, manifest("TrainingRun", "price", RUN))

    done = modelops("plan", "-f", str(tmp_path))

    assert done.code == 1
    assert "TrainingRun/lost: " in done.err
    assert "nowhere" in done.err
    assert any(line.startswith("+ create    TrainingRun") for line in done.lines)


@pytest.fixture
def delivered(put: Put, client: KubeClient, namespace: str, tmp_path: Path) -> Path:
    """A GitSource that applied a Dataset and two runs from `deploy`, and the working tree it reads."""
    entries = [("Dataset", "listings"), ("TrainingRun", "old"), ("TrainingRun", "price")]
    inventory = [{"apiVersion": "modelops.dev/v1alpha1", "kind": kind, "name": name} for kind, name in entries]
    status = {"observedGeneration": 1, "conditions": [condition("Ready", "True", "Succeeded")], "inventory": inventory}
    put(kinds.GITSOURCE, "pricing", {"url": "https://git.example.com/p.git", "path": "deploy"}, status)
    labels = {DELIVERED_BY: "pricing"}
    put(kinds.DATASET, "listings", DATASET, pinned(), labels=labels)
    put(kinds.TRAININGRUN, "price", RUN, labels=labels)
    put(kinds.TRAININGRUN, "old", RUN, labels=labels)
    (tmp_path / ".git").mkdir()
    return write(tmp_path / "deploy", manifest("Dataset", "listings", DATASET), manifest("TrainingRun", "price", RUN))


def test_what_git_drops_is_said_to_be_pruned(modelops: Run, delivered: Path, namespace: str) -> None:
    """Only for the whole directory of a GitSource, and only what it applied."""
    done = modelops("plan", "-f", str(delivered))
    assert f"- prune     TrainingRun {namespace}/old" in done.lines
    assert "    → GitSource pricing applied it, and it is not in the directory any more" in done.lines
    assert done.lines[-1] == "1 to prune; 2 unchanged"

    one_file = modelops("plan", "-f", str(delivered / "trainingrun-price.yaml"))
    assert "prune" not in one_file.out


def test_guard_of_pruning_is_said_too(modelops: Run, delivered: Path) -> None:
    """More than half of what it applied waits for a word."""
    (delivered / "trainingrun-price.yaml").unlink()

    done = modelops("plan", "-f", str(delivered))

    assert done.out.count("- prune") == 2
    assert "blocked until somebody confirms it, because that is more than half of what it applied" in done.out


def test_dropped_dataset_leaves_its_run_waiting(modelops: Run, delivered: Path) -> None:
    """The plan follows what it prunes."""
    (delivered / "dataset-listings.yaml").unlink()

    done = modelops("plan", "-f", str(delivered))

    assert "    → waits: there is no Dataset listings, neither here nor in the plan" in done.lines
