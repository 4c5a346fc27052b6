"""Servers that are not ours, released and judged like ours: MLServer, mlflow models serve, and five of one's own.

All live in one home at once, each under a host name of its own, with customers at every door.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from examples.demo.program import Program
from examples.demo.traffic import Customers

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import CONTROLLERREVISION, DEPLOYMENT, HTTPROUTE, MODELRELEASE, SERVICE
from modelops.localhome import parts

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "support" / "tiny_server.py"
MODEL = """\
import mlflow.pyfunc
from mlflow.models import set_model


class Price(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        if BROKEN:
            raise RuntimeError("this version cannot answer")
        return model_input["area"].to_numpy() * SLOPE


set_model(Price())
"""
CRASH_AFTER = 60
V2 = {"inputs": [{"name": "area", "shape": [1], "datatype": "FP64", "data": [2.0]}]}
ROWS = {"dataframe_split": {"columns": ["area"], "data": [[2.0]]}}
pytestmark = [pytest.mark.slow, pytest.mark.local, pytest.mark.timeout(420)]


def _mlserver() -> str | None:
    return shutil.which("mlserver", path=parts.inherited({"PATH": "/usr/bin"})["PATH"])


def _release(name: str, serving: dict[str, Any], analyze: int, interval: str = "2s") -> dict[str, Any]:
    metrics: list[dict[str, Any]] = [
        {"name": "success-rate", "builtin": "success-rate", "thresholdRange": {"min": 0.95}, "minSamples": 10},
        {"name": "slow", "builtin": "slow-share", "slo": 0.3, "thresholdRange": {"max": 0.2}, "minSamples": 10},
    ]
    if serving["runtime"] == "mlflow":  # which answers 400 when the model itself fails
        threshold = {"max": 0.05}
        metrics.append(
            {"name": "refused", "builtin": "client-error-share", "thresholdRange": threshold, "minSamples": 10}
        )
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            # One model in several releases: each moves an alias of its own.
            "model": {"name": "price", "version": "1", "promotedAlias": f"serves-{name}"},
            "serving": {"replicas": 1, **serving},
            "traffic": {"hostnames": [f"{name}.example.com"], "timeout": "2s"},
            "strategy": {"canary": {"steps": [{"setWeight": 50}, {"analyze": {"duration": f"{analyze}s"}}]}},
            "analysis": {"interval": interval, "warmUp": "1s", "metrics": metrics},
        },
    }


def _own(**faults: str) -> dict[str, Any]:
    env = [{"name": name, "value": value} for name, value in faults.items()]
    container = {
        "name": "server",
        "image": "registry.example.com/team/server:1",
        "command": [sys.executable, str(TINY)],
        "env": env,
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1},
    }
    return {
        "runtime": "custom",
        "podTemplate": {"spec": {"containers": [container], "terminationGracePeriodSeconds": 3}},
    }


RELEASES = {
    "mlserver": _release("mlserver", {"runtime": "mlserver"}, 5),
    "mlflow": _release("mlflow", {"runtime": "mlflow"}, 5),
    "good": _release("good", _own(), 5),
    "failing": _release("failing", _own(BAD="2"), 5),
    "slow": _release("slow", _own(SLOW="2"), 5),
    "hanging": _release("hanging", _own(HANG="2"), 5),
    # A second or two without a server are to be most of what one look sees; one that holds few requests asks about the
    # minute before, too.
    "crashing": _release("crashing", _own(CRASH="2", CRASH_AFTER=str(CRASH_AFTER)), CRASH_AFTER + 60, "5s"),
}


class House:
    """The home, with every release in it."""

    def __init__(self, directory: Path) -> None:
        self.program = Program(directory / "state")
        self.state = directory / "state"

    def __enter__(self) -> Self:
        self.program.must("local", "up", "--detach", timeout=200)
        self.client = KubeClient.from_kubeconfig(str(self.state / "kubeconfig"), context="local")
        self._register()
        return self

    def __exit__(self, *_: object) -> None:
        self.program.run("local", "down", timeout=90)

    def _register(self) -> None:
        """Register three versions: two that answer, one that cannot. In a process of its own, as a team would."""
        script = self.state / "register.py"
        script.write_text(
            "import sys, pathlib, numpy, pandas, mlflow\n"
            "from mlflow.models import infer_signature\n"
            "mlflow.set_tracking_uri(sys.argv[1])\n"
            "rows = pandas.DataFrame({'area': [1.0, 2.0]})\n"
            f"source = {MODEL!r}\n"
            "for slope, broken in ((3.0, False), (4.0, False), (5.0, True)):\n"
            "    path = pathlib.Path(sys.argv[2]) / f'model_{int(slope)}.py'\n"
            "    path.write_text(source.replace('SLOPE', str(slope)).replace('BROKEN', str(broken)))\n"
            "    with mlflow.start_run():\n"
            "        mlflow.pyfunc.log_model(name='model', python_model=str(path), registered_model_name='price',\n"
            "            signature=infer_signature(rows, numpy.array([1.0])), pip_requirements=[])\n"
        )
        argv = [sys.executable, str(script), self.program.endpoints()["mlflow"], str(self.state)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    def get(self, name: str) -> dict[str, Any]:
        return (self.client.get(MODELRELEASE.resource, "default", name) or {}).get("status") or {}

    def want(self, name: str, version: str) -> None:
        patch = {"spec": {"model": {"version": version}}}
        self.client.merge_patch(MODELRELEASE.resource, "default", name, patch)

    def fate(self, name: str, version: str) -> dict[str, Any]:
        """Return the record of a version once its fate is settled."""
        history = self.get(name).get("history") or ()
        return next((record for record in history if record["version"] == version), {})


def until(true: Callable[[], bool], seconds: float, what: Callable[[], object]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Every release serves version 1; then version 2 is wanted of each, and customers ask at every door."""
    if _mlserver() is None:
        pytest.skip("mlserver is not installed; `make mlserver` brings it")
    with House(tmp_path_factory.mktemp("servers")) as found, contextlib.ExitStack() as stack:
        for release in RELEASES.values():
            found.client.apply(MODELRELEASE.resource, release)
        for name in RELEASES:
            until(
                lambda name=name: found.fate(name, "1").get("outcome") == "Promoted",  # type: ignore[misc]
                90,
                lambda name=name: (name, found.get(name)),  # type: ignore[misc]
            )
        gateway = found.program.endpoints()["gateway"]
        for name in RELEASES:
            path, body = ("/invocations", ROWS) if name == "mlflow" else (f"/v2/models/{name}/infer", V2)
            stack.enter_context(Customers(f"{gateway}{path}", f"{name}.example.com", [body], rate=15))
        for name in RELEASES:
            found.want(name, "2")
        yield found


@pytest.mark.parametrize("name", ["mlserver", "mlflow", "good"])
def test_good_version_of_any_server_is_promoted(house: House, name: str) -> None:
    """Version 2 takes the traffic, with Passes of the gateway's own figures, and the alias of this release moves."""
    until(lambda: bool(house.fate(name, "2")), 120, lambda: house.get(name))
    record = house.fate(name, "2")
    assert record["outcome"] == "Promoted", house.get(name)
    assert "success-rate 1 against ≥ 0.95" in record["message"]
    assert "slow " in record["message"]


@pytest.mark.parametrize(
    ("name", "metrics", "figure"),
    [
        pytest.param("failing", {"success-rate"}, "0 against ≥ 0.95", id="a server that answers 500"),
        pytest.param("slow", {"slow"}, "1 against ≤ 0.2", id="a server that answers slowly"),
        pytest.param("hanging", {"success-rate", "slow"}, "against", id="a server that hangs"),
        pytest.param("crashing", {"success-rate"}, "against ≥ 0.95", id="a server that crashes after a minute"),
    ],
)
def test_bad_version_is_rolled_back_and_the_figures_are_said(
    house: House, name: str, metrics: set[str], figure: str
) -> None:
    """Version 1 has all of the traffic again; `modelops describe` names metric, value, bound and samples."""
    until(lambda: bool(house.fate(name, "2")), CRASH_AFTER + 90, lambda: house.get(name))
    record = house.fate(name, "2")
    assert record["outcome"] == "RolledBack", house.get(name)
    assert record["message"].partition(" is ")[0] in metrics
    assert figure in record["message"]
    status = house.get(name)
    assert (status["stable"]["version"], status["weight"]) == ("1", 0)
    told = house.program.must("describe", "modelrelease", name)
    assert record["message"] in told
    assert "Fail" in told


@pytest.mark.parametrize(("name", "metric"), [("mlserver", "success-rate"), ("mlflow", "refused")])
def test_version_that_cannot_answer_is_rolled_back(house: House, name: str, metric: str) -> None:
    """A model that raises makes the server answer an error; whichever server it is, its figures say so."""
    until(lambda: bool(house.fate(name, "2")), 120, lambda: house.get(name))
    house.want(name, "3")
    until(lambda: bool(house.fate(name, "3")), 120, lambda: house.get(name))
    assert house.fate(name, "3")["outcome"] == "RolledBack"
    assert house.fate(name, "3")["message"].startswith(f"{metric} is")
    assert house.get(name)["stable"]["version"] == "2"


def test_servers_that_are_not_ours_start_again_without_mlflow(house: House) -> None:
    """The model was brought by an init container once; a crash of the server fetches nothing."""
    until(lambda: bool(house.fate("mlserver", "2")), 120, lambda: house.get("mlserver"))
    name = f"mlserver-{house.get('mlserver')['stable']['revision']}"
    template = (house.client.get(DEPLOYMENT, "default", name) or {})["spec"]["template"]["spec"]
    assert [entry["name"] for entry in template["initContainers"]] == ["fetch"]
    assert "--model-uri" not in str(template["containers"])


def test_release_deleted_in_the_middle_leaves_nothing_behind(house: House) -> None:
    """Both versions are up and share the traffic; then servers, route and records go, and others serve on."""
    release = _release("brief", _own(), 600)
    house.client.apply(MODELRELEASE.resource, release)
    until(lambda: house.fate("brief", "1").get("outcome") == "Promoted", 60, lambda: house.get("brief"))
    house.want("brief", "2")
    until(lambda: house.get("brief").get("weight") == 50, 60, lambda: house.get("brief"))
    pids = [json.loads(path.read_text())["pid"] for path in (house.state / "processes").glob("default.brief-*.json")]
    assert len(pids) == 2
    house.client.delete(MODELRELEASE.resource, "default", "brief")
    until(lambda: house.client.get(HTTPROUTE, "default", "brief") is None, 30, lambda: "the route is left")
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 40, lambda: f"{pids} run on")
    for kind in (DEPLOYMENT, SERVICE, CONTROLLERREVISION):
        left = [obj["metadata"]["name"] for obj in house.client.list(kind, "default")]
        assert not [name for name in left if name.startswith("brief-")]
    conditions = {c["type"]: c["status"] for c in house.get("good")["conditions"]}
    assert conditions["Ready"] == "True"


def test_second_release_of_the_same_alias_is_refused(house: House) -> None:
    """The older one goes on; the newer says whose alias it wanted and what to do."""
    rival = _release("rival", _own(), 5)
    rival["spec"]["model"]["promotedAlias"] = "serves-good"
    house.client.apply(MODELRELEASE.resource, rival)

    def stalled() -> dict[str, Any]:
        return next((c for c in house.get("rival").get("conditions") or () if c["type"] == "Stalled"), {})

    until(lambda: bool(stalled()), 20, lambda: house.get("rival"))
    assert stalled()["reason"] == "AliasConflict"
    assert "default/good is older and moves alias serves-good of model price" in stalled()["message"]
    house.client.delete(MODELRELEASE.resource, "default", "rival")
