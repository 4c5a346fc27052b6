"""What the benchmark scans out of a watch's line is what the object says."""

import json
from typing import Any

import pytest
from bench import wire


def line(status: dict[str, Any] | None) -> bytes:
    """Return a line as kube-apiserver writes it: keys sorted, and decoys where they are in life."""
    fields = {"f:status": {"f:observedGeneration": {}}, "f:metadata": {"f:name": {}}}
    managed = [{"fieldsV1": fields, "manager": "modelops", "subresource": "status"}]
    meta = {"generation": 12, "labels": {"name": "label"}, "managedFields": managed, "name": "run-7"}
    obj = {"metadata": meta | {"namespace": "team", "uid": "u"}, "spec": {"model": {"name": "other"}}}
    told = {"type": "MODIFIED", "object": obj if status is None else obj | {"status": status}}
    return json.dumps(told, separators=(",", ":"), sort_keys=False).encode()


@pytest.mark.parametrize(
    ("status", "observed"),
    [
        pytest.param(None, 0, id="no status"),
        pytest.param({"conditions": []}, 0, id="none in it"),
        pytest.param({"conditions": [{"observedGeneration": 3}], "observedGeneration": 11}, 11, id="the last one"),
    ],
)
def test_a_line_is_scanned_as_it_would_be_parsed(status: dict[str, Any] | None, observed: int) -> None:
    """Name, generation and the status' observedGeneration, not those of labels, fields and conditions."""
    told = line(status)

    assert (wire.name(told), wire.generation(told), wire.observed(told)) == ("run-7", 12, observed)
