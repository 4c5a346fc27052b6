"""One bad object harms nobody else: what is refused by its type, and what by the API server."""

from typing import Any

import pytest

from modelops.api.kinds import DATASET, MODELRELEASE, TRAININGRUN, Resource
from modelops.api.manifest import read
from modelops.domain.gitsync.desired import desired
from modelops.domain.plan import ApplyObject, DeleteObject
from modelops.errors import Stalled, Transient
from modelops.reconcile.act import act
from modelops.reconcile.bundle import Ports

GOOD = """\
apiVersion: modelops.dev/v1alpha1
kind: TrainingRun
metadata: {name: good}
spec: {datasetRef: {name: a}, model: {name: m}, trainer: {builtin: torch-mlp}}
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            GOOD.replace("model:", "modle:"), "a.yaml:4: TrainingRun/good: spec.model: ", id="a missing field"
        ),
        pytest.param(GOOD.replace("spec:", "sepc:"), "unknown field; did you mean spec?", id="a misspelt spec"),
        pytest.param(GOOD.replace("torch-mlp", "xgboost"), "spec.trainer.builtin: ", id="an unknown trainer"),
        pytest.param(
            GOOD.replace("trainer:", "hyperparameters: {epoch: 3}, trainer:"),
            "epoch: torch-mlp has no such hyperparameter; did you mean epochs?",
            id="an unknown hyperparameter",
        ),
    ],
)
def test_object_that_does_not_fit_its_type_is_refused_alone(text: str, said: str) -> None:
    """The one beside it in the same file is wanted all the same."""
    manifests, _ = read(f"{text}---\n{GOOD.replace('good', 'other')}".encode(), "a.yaml")
    wanted, problems = desired(manifests, "source", "team", "c" * 40)
    assert [item.obj["metadata"]["name"] for item in wanted] == ["other"]
    assert said in " | ".join(map(str, problems))


class Refusing:
    """A cluster that refuses some names and remembers the others."""

    def __init__(self, error: type[Stalled] | type[Transient]) -> None:
        self.error, self.applied, self.deleted = error, [], []  # type: ignore[var-annotated]

    def apply(self, resource: Resource, obj: Any, *, seen: object) -> None:
        name = obj["metadata"]["name"]
        if name.startswith("bad"):
            raise self.error("ApiRefused", f"{resource.kind} {name}: no")
        self.applied.append(name)

    def delete(self, _: Resource, __: str | None, name: str, *, uid: str | None, seen: object) -> None:
        self.deleted.append((name, uid))


def plan(*names: str) -> list[ApplyObject | DeleteObject]:
    applies = [ApplyObject(kind, {"metadata": {"name": name}}) for name, kind in zip(names, KINDS_, strict=False)]
    return [*applies, DeleteObject(DATASET.resource, "team", "old", "uid")]


KINDS_ = (DATASET.resource, TRAININGRUN.resource, MODELRELEASE.resource)


def test_refused_object_stops_no_other_one_but_every_deletion() -> None:
    """What was to be deleted may only have been renamed into what was refused."""
    cluster = Refusing(Stalled)
    with pytest.raises(Stalled, match="Dataset bad: no") as raised:
        act(plan("bad", "b", "c"), Ports(cluster, None, None, None, None, None), each_by_itself=True)  # type: ignore[arg-type]
    assert raised.value.reason == "ApplyFailed"
    assert (cluster.applied, cluster.deleted) == (["b", "c"], [])


def test_absent_api_server_stops_everything() -> None:
    """It is no refusal: all is tried again later."""
    cluster = Refusing(Transient)
    with pytest.raises(Transient):
        act(plan("a", "bad", "c"), Ports(cluster, None, None, None, None, None), each_by_itself=True)  # type: ignore[arg-type]
    assert (cluster.applied, cluster.deleted) == (["a"], [])


def test_good_objects_are_applied_and_the_old_one_goes_last() -> None:
    """The order of the plan holds."""
    cluster = Refusing(Stalled)
    act(plan("a", "b", "c"), Ports(cluster, None, None, None, None, None), each_by_itself=True)  # type: ignore[arg-type]
    assert (cluster.applied, cluster.deleted) == (["a", "b", "c"], [("old", "uid")])
