"""What models answer, judged on a real home: a retrained equal is promoted, one that answers a third more is not.

As a canary that gets half of the requests, and as a shadow that gets copies of them all; and one that answers otherwise
for large areas only, request by request.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from examples.demo.program import Program
from examples.demo.traffic import Customers

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import MODELRELEASE

REGISTER = """\
import pathlib, sys, mlflow, numpy, pandas
from mlflow.models import infer_signature

MODEL = '''
import mlflow.pyfunc
from mlflow.models import set_model


class Price(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        area = model_input["area"].to_numpy()
        return FORMULA


set_model(Price())
'''
mlflow.set_tracking_uri(sys.argv[1])
rows = pandas.DataFrame({"area": [1.0, 2.0]})
FORMULAS = ("area * 10.0", "area * 10.05", "area * 13.0", "5.0 * area + 5.0 * area", "area * 10.0 + (area > 60.0)")
for number, formula in enumerate(FORMULAS, 1):
    path = pathlib.Path(sys.argv[2]) / f"model_{number}.py"
    path.write_text(MODEL.replace("FORMULA", formula))
    with mlflow.start_run():
        mlflow.pyfunc.log_model(name="model", python_model=str(path), registered_model_name="price",
            signature=infer_signature(rows, numpy.array([1.0])), pip_requirements=[])
"""
AREAS = np.random.default_rng(1).lognormal(4, 0.3, 500)
DRIFT = {"name": "drift", "builtin": "prediction-drift", "thresholdRange": {"max": 0.1}}
CONSTANT = {"name": "constant", "builtin": "constant-share", "thresholdRange": {"max": 0.5}}
DIFFERENCE = {"name": "difference", "builtin": "answer-difference", "thresholdRange": {"max": 0.1}}
SHADOW: dict[str, Any] = {"shadow": {"percent": 100, "duration": "8s", "promote": True}}
STRATEGIES: dict[str, dict[str, Any]] = {
    "split": {"canary": {"steps": [{"setWeight": 50}, {"analyze": {"duration": "8s"}}]}},
    "copied": SHADOW,
}
pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(300)]


class House:
    """A home with the registered versions of one model, served by our own server."""

    def __init__(self, directory: Path) -> None:
        self.program = Program(directory / "state")

    def __enter__(self) -> Self:
        self.program.must("local", "up", "--detach", timeout=200)
        self.client = KubeClient.from_kubeconfig(str(self.program.state_dir / "kubeconfig"), context="local")
        script = self.program.state_dir / "register.py"
        script.write_text(REGISTER)
        argv = [sys.executable, str(script), self.program.endpoints()["mlflow"], str(self.program.state_dir)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return self

    def __exit__(self, *_: object) -> None:
        self.program.run("local", "down", timeout=90)

    def want(
        self, name: str, version: str, metrics: Sequence[dict[str, Any]] = (DRIFT, CONSTANT), replicas: int = 1
    ) -> dict[str, Any]:
        """Have a version of a release; return its record once its fate is settled."""
        spec = {
            "model": {"name": "price", "version": version, "promotedAlias": f"serves-{name}"},
            "serving": {"runtime": "modelops", "replicas": replicas},
            "traffic": {"hostnames": [f"{name}.example.com"], "timeout": "2s"},
            "strategy": STRATEGIES.get(name, SHADOW),
            "analysis": {"interval": "2s", "warmUp": "1s", "metrics": list(metrics)},
        }
        self.client.apply(MODELRELEASE.resource, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            status = (self.client.get(MODELRELEASE.resource, "default", name) or {}).get("status") or {}
            last = (status.get("history") or [{}])[-1]
            if last.get("version") == version:
                return dict(last)
            time.sleep(0.1)
        raise AssertionError(status)

    def customers(self, name: str) -> Customers:
        """Ask a release for the prices of areas, of which about a third are large."""
        bodies = [{"inputs": [{"name": "area", "shape": [1], "datatype": "FP64", "data": [area]}]} for area in AREAS]
        url = f"{self.program.endpoints()['gateway']}/v2/models/{name}/infer"
        return Customers(url, f"{name}.example.com", bodies, rate=60)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("drift")) as found:
        yield found


@pytest.mark.parametrize("name", STRATEGIES)
def test_equal_model_is_promoted_and_one_that_answers_a_third_more_is_rolled_back(house: House, name: str) -> None:
    """No request fails, and none is slow: only what is answered tells them apart."""
    assert house.want(name, "1")["outcome"] == "Promoted"
    with house.customers(name) as customers:
        retrained = house.want(name, "2")
        assert retrained["outcome"] == "Promoted", retrained
        assert "drift 0 against ≤ 0.1, of " in retrained["message"]
        assert "constant 0" in retrained["message"]

        shifted = house.want(name, "3")
        assert shifted["outcome"] == "RolledBack", shifted
        assert shifted["message"].startswith("drift is 0.")
        assert " against ≤ 0.1, of " in shifted["message"]
    assert shifted["message"] in house.program.must("describe", "modelrelease", name)
    assert {status for status, _ in customers.answers} == {200}


def test_equal_answers_are_promoted_and_ones_that_differ_for_some_requests_are_rolled_back(house: House) -> None:
    """Envoy gives a request and its copy one id, so each is compared with its like, over two servers on either side."""
    assert house.want("paired", "1", [DIFFERENCE], 2)["outcome"] == "Promoted"
    with house.customers("paired") as customers:
        equal = house.want("paired", "4", [DIFFERENCE], 2)
        assert equal["outcome"] == "Promoted", equal
        found = re.search(r"difference 0 against ≤ 0.1, of (\d+) requests that both answered", equal["message"])
        assert found is not None, equal
        assert int(found[1]) >= 100

        partly = house.want("paired", "5", [DIFFERENCE], 2)
        assert partly["outcome"] == "RolledBack", partly
        found = re.search(r"difference is ([0-9.]+) against .* \(canary - stable: \+([0-9.]+)\)", partly["message"])
        assert found is not None, partly
        # Where the area is large the answer is one more.
        share, shift = map(float, found.groups())
        assert share == pytest.approx(np.mean(AREAS > 60), abs=0.25)
        assert shift == pytest.approx(share, abs=0.001)
    assert partly["message"] in house.program.must("describe", "modelrelease", "paired")
    assert {status for status, _ in customers.answers} == {200}
