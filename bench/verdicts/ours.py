"""modelops as a contender: the operator as it is installed, with its defaults."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.mlflow_server import running_mlflow
from tests.support.operators import Replicas

from bench.verdicts.contender import LATENCY, LOOKS, RATIO, SHARE, TOLERATED, WEIGHTS, Contender, Obj, Setting
from bench.verdicts.scenarios import SCENARIOS, Outcome
from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.api.kinds import HTTPROUTE, MODELRELEASE, Resource

_NAME = "modelops"


def _objects(scenario: str, setting: Setting) -> Iterator[tuple[Resource, dict[str, Any]]]:
    of = f'canary="{_NAME}/{scenario}"'
    counted = f'{of}, revision="{{{{ .revision }}}}"}}[{{{{ .window }}}}]))'
    requests, failed = f"sum(increase(requests_total{{{counted}", f"sum(increase(failed_total{{{counted}"

    def bounded(name: str, query: str, largest: float) -> dict[str, Any]:
        asked = {"query": query, "samplesQuery": requests}
        range_ = {"max": largest}
        return {
            "name": name,
            "prometheus": asked,
            "minSamples": 20,
            "thresholdRange": range_,
            "failureLimit": TOLERATED,
        }

    against_stable = {
        "name": "against-stable",
        "prometheus": {"eventsQuery": failed, "samplesQuery": requests},
        "compareTo": {"stable": {"maxRelativeIncrease": round(RATIO - 1, 3), "test": "sequential"}},
    }
    step = [{"analyze": {"duration": f"{LOOKS * setting.interval:g}s"}}]
    spec = {
        "model": {"name": scenario, "version": "1"},
        "traffic": {"hostnames": [f"{scenario}.example.com"]},
        "strategy": {"canary": {"steps": [one for weight in WEIGHTS for one in ({"setWeight": weight}, *step)]}},
        "analysis": {
            "interval": setting.every,
            "warmUp": "0s",
            "metrics": [
                bounded("errors", f"share{{{of}}}", SHARE),
                bounded("latency", f"latency{{{of}}}", LATENCY),
                against_stable,
            ],
        },
        "rollbackWindow": {"duration": f"{9 * setting.interval:g}s"},
    }
    yield MODELRELEASE.resource, {"metadata": {"namespace": _NAME, "name": scenario}, "spec": spec}


def _serving(release: Obj) -> str:
    status = release.get("status") or {}
    return str(status["stable"]["revision"]) if status.get("phase") == "Promoted" else ""


def _weight(route: Obj, stable: str) -> int | None:
    name = route["metadata"]["name"]
    backends = route["spec"]["rules"][0]["backendRefs"]
    return sum(one.get("weight", 1) for one in backends if one["name"] != f"{name}-{stable}") if stable else None


def _outcome(release: Obj, stable: str) -> Outcome | None:
    status = release.get("status") or {}
    if status.get("aborted"):
        return Outcome.ROLLED_BACK
    return Outcome.PROMOTED if (status.get("stable") or {}).get("revision") != stable else None


@contextmanager
def _running(setting: Setting) -> Iterator[None]:
    with running_mlflow(setting.directory / "mlflow") as mlflow:
        _register(MlflowRuns(mlflow))
        settings = {"MODELOPS_MLFLOW_TRACKING_URI": mlflow, "MODELOPS_PROMETHEUS_URL": setting.prometheus}
        replicas = Replicas(setting.directory, setting.kubeconfig, settings)
        try:
            replicas.start()
            yield
        finally:
            replicas.stop()


def _register(mlflow: MlflowRuns) -> None:
    """Register two versions of a model for each scenario."""
    run = mlflow.create_run(mlflow.experiment("bench"), "bench", {}, start_time=0)
    for scenario in SCENARIOS:
        mlflow.ensure_model(scenario.name)
        for number in (1, 2):
            mlflow.create_version(scenario.name, run, "model", {"modelops.artifactDigest": f"sha256:{number:064d}"})


MODELOPS = Contender(
    name=_NAME,
    title="modelops",
    kind=MODELRELEASE.resource,
    route=HTTPROUTE,
    objects=_objects,
    change=(MODELRELEASE.resource, {"spec": {"model": {"version": "2"}}}),
    serving=_serving,
    weight=_weight,
    outcome=_outcome,
    running=_running,
)
