"""What keeps a version from traffic, end to end: the real steps, a real MLflow, our own servers, and customers."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Self

import pytest
from examples.demo.traffic import Customers
from mlflow import MlflowClient

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.api.kinds import DEPLOYMENT, MODELRELEASE
from modelops.steps import context as contexts
from modelops.steps import main, prepare
from tests.local.test_strategies import House
from tests.support import tables

pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(400)]
ROW = {
    "inputs": [
        {"name": "area", "datatype": "FP64", "shape": [1], "data": [100.0]},
        {"name": "rooms", "datatype": "INT64", "shape": [1], "data": [4]},
        {"name": "kind", "datatype": "BYTES", "shape": [1], "data": ["house"]},
    ]
}
SIZES = {"hidden": [16], "epochs": 40, "batchSize": 32}
ABOUT_AS_GOOD = [{"metric": "mean_absolute_error", "against": "champion", "maxRelativeRegression": 1}]
BY_BASELINE = [{"metric": "mean_absolute_error", "against": "baseline"}]


class Factory(House):
    """A home in which versions of one model are trained, judged and registered by the steps themselves."""

    def __enter__(self) -> Self:
        super().__enter__()
        self.mlflow = self.program.endpoints()["mlflow"]
        self.registry = MlflowClient(tracking_uri=self.mlflow)
        self.root = self.program.state_dir.parent / "steps"
        self.data = self.prepare("0a1b2c3d", tables.houses_spec())
        return self

    def prepare(self, attempt: str, dataset: dict[str, Any]) -> dict[str, Any]:
        """Pin the houses under a contract, and return the result."""
        outputs = contexts.Outputs(self.root / f"prepare-{attempt}")
        context = contexts.Context(MlflowRuns(self.mlflow), outputs, datetime.now(UTC))
        text = tables.prepare_step(dataset, attempt=attempt)
        prepare.prepare(contexts.parse_prepare(text), context, lambda: tables.houses(300))
        return dict(json.loads(outputs.path("/tmp/modelops/result.json").read_bytes()))

    def train(self, attempt: str, *, dataset: dict[str, Any] | None = None, **run: Any) -> dict[str, Any]:
        """Take one attempt through train, evaluate and register, and return the result.

        Args:
            attempt: its name.
            dataset: what the houses are pinned under, if it is another contract than the first.
            run: of its spec.
        """
        spec, contract = tables.price_run(**run), dataset or tables.houses_spec()
        data = self.prepare(attempt, dataset) if dataset else self.data
        given = {"MODELOPS_ROOT": str(self.root / attempt), "MLFLOW_TRACKING_URI": self.mlflow}
        for name in ("train", "evaluate", "register"):
            text = tables.training_step(name, data, contract, spec, attempt=attempt)
            assert main.run([name], {**given, "MODELOPS_STEP": text}) == 0
        result = (self.root / attempt / "tmp/modelops/result.json").read_bytes()
        return dict(json.loads(result))

    def variant(self, attempt: str) -> str:
        """Return a version that is as good as the champion and not the same."""
        sizes = SIZES | {"learningRate": 0.02 + int(attempt[-1]) / 1000}
        result = self.train(attempt, hyperparameters=sizes, evaluate={"criteria": ABOUT_AS_GOOD})
        assert result["passed"], result
        version = str(result["modelVersion"])
        tags = self.registry.get_model_version("price", version).tags
        assert tags["modelops.judgedAgainst"] == "1"
        assert json.loads(tags["modelops.inputs"]) == {"area": "double", "rooms": "double?", "kind": "string"}
        return version

    def serve(self, **more: Any) -> None:
        """Release the model, or change how."""
        spec = {
            "model": {"name": "price", "version": "1"},
            "serving": {"runtime": "modelops"},
            "traffic": {"hostnames": ["price.example.com"], "timeout": "5s"},
            "strategy": {"direct": {}},
            "progressDeadline": "20s",
            **more,
        }
        self.client.apply(MODELRELEASE.resource, {"metadata": {"name": "price", "namespace": "default"}, "spec": spec})

    def waits(self, name: str, version: str) -> str:
        """Wait until a version waits, and return for what."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            status = self.status(name)
            if status.get("queuedVersion") == version:
                return str(status["waitingFor"])
            time.sleep(0.1)
        raise AssertionError(self.status(name))


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    with Factory(tmp_path_factory.mktemp("gates")) as found:
        yield found


def test_no_version_that_misses_a_gate_gets_a_request(factory: Factory) -> None:
    """Worse than the champion or no match for it, other inputs, slow, large, changed: customers see version 1 alone."""
    assert factory.train("aaaa0001")["modelVersion"] == "1"
    factory.serve()
    factory.until("price", "1")
    url = f"{factory.program.endpoints()['gateway']}/v2/models/price/infer"
    with Customers(url, "price.example.com", [ROW], rate=20) as customers:
        worse = factory.train("aaaa0002", hyperparameters={"hidden": [4], "epochs": 1, "learningRate": 0.0001})
        assert (worse["passed"], worse["modelVersion"]) == (False, None)
        assert "mean_absolute_error ≤ champion" in worse["message"]

        parts = {"by": "hash", "key": "id", "percent": {"train": 50, "validation": 10, "test": 40}}
        unlike = factory.train("aaaa0006", dataset=tables.houses_spec(split=parts))
        assert (unlike["passed"], unlike["modelVersion"]) == (False, None)
        assert "its test part was 15 % of the rows and is 40 % now" in unlike["message"]

        lenient = {"evaluate": {"criteria": BY_BASELINE}}
        narrow = factory.train("aaaa0003", prepare={"drop": ["id", "rooms"], "target": "log"}, **lenient)
        factory.serve(model={"name": "price", "version": narrow["modelVersion"]})
        words = factory.waits("price", narrow["modelVersion"])
        assert words.startswith("version 2 does not take the input rooms, which version 1 takes; ")
        assert len(factory.client.list(DEPLOYMENT, "default")) == 1

        golden = {"requests": [{"name": "house", "body": ROW, "expect": "body.outputs[0].data[0] > 90000"}]}
        for attempt, limit, said in (
            ("aaaa0004", {"maxLatency": "1ms"}, "SmokeTestFailed: house: the answer took "),
            ("aaaa0005", {"maxMemory": "1Mi"}, "SmokeTestFailed: a server takes "),
        ):
            version = factory.variant(attempt)
            factory.serve(model={"name": "price", "version": version}, smokeTest={**golden, "failureLimit": 0, **limit})
            record = factory.until("price", version)
            assert (record["outcome"], record["message"][: len(said)]) == ("RolledBack", said)

        changed = factory.variant("aaaa0006")
        factory.registry.set_model_version_tag("price", changed, "modelops.artifactDigest", "sha256:" + "0" * 64)
        factory.serve(model={"name": "price", "version": changed}, smokeTest=golden)
        record = factory.until("price", changed)
        assert record["message"].startswith("DeadlineExceeded: not ready within 20s: "), record
    assert set(customers.answers) == {(200, "1")}
