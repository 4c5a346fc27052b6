"""When a champion may have learnt from the rows that a candidate is judged by."""

from types import SimpleNamespace
from typing import Any

import pytest

from modelops.api.v1alpha1.dataset import DatasetSpec
from modelops.steps.seen import overlap, why_seen
from tests.support.tables import houses_spec

PARTS = {"train": 70, "validation": 15, "test": 15}


def spec(key: str | None = "id", **percent: int) -> DatasetSpec:
    """Return a Dataset that is split so."""
    split: dict[str, Any] = {"by": "hash", "percent": PARTS | percent} | ({"key": key} if key else {})
    return DatasetSpec.model_validate(houses_spec(split=split))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (spec(), spec()),
        (spec(None), spec(None)),
        # Of what they kept for their test, a part.
        (spec(), spec(train=75, test=10)),
        (spec(), spec(train=80, validation=5)),
    ],
)
def test_rows_of_the_same_test_were_never_seen(theirs: DatasetSpec, ours: DatasetSpec) -> None:
    assert overlap(theirs, ours) == ""


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (spec(), spec(train=50, validation=10, test=40), "test part was 15 % of the rows and is 40 % now"),
        (spec(), spec("kind"), "split by id, and these are split by kind"),
        (spec(), spec(None), "split by id, and these are split by all of area, id, kind, price, rooms"),
    ],
)
def test_other_rows_may_have_been(theirs: DatasetSpec, ours: DatasetSpec, said: str) -> None:
    assert said in overlap(theirs, ours)
    assert "leave out `against: champion` once" in overlap(theirs, ours)


@pytest.mark.parametrize(
    ("tags", "artifact", "said"),
    [
        ({}, None, "nobody knows"),
        ({"modelops.datasetRunId": "gone"}, None, "nobody knows"),
        ({"modelops.datasetRunId": "there"}, None, "nobody knows"),
        ({"modelops.datasetRunId": "there"}, b'{"of": "another time"}', "nobody knows"),
        ({"modelops.datasetRunId": "there"}, spec().model_dump_json(by_alias=True).encode(), ""),
    ],
)
def test_whoever_cannot_be_asked_is_no_measure(tags: dict[str, str], artifact: bytes | None, said: str) -> None:
    """A run of somebody else's, or one whose data is gone from MLflow."""
    mlflow: Any = SimpleNamespace(run=lambda name: name if name == "there" else None, artifact=lambda *_: artifact)
    theirs: Any = SimpleNamespace(tags=tags)
    found = why_seen(mlflow, theirs, spec())
    assert found.startswith(said) if said else found == ""
