"""Argo Rollouts as a contender, in two configurations; its weights are in NGINX Ingresses, which it knows natively."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.operators import free_port

from bench.verdicts.contender import (
    LATENCY,
    LOOKS,
    RATIO,
    SHARE,
    TOLERATED,
    WEIGHTS,
    Contender,
    Obj,
    Setting,
    meta,
    pods,
    service,
)
from bench.verdicts.peers import ARGO_ROLLOUTS
from bench.verdicts.scenarios import Outcome
from modelops.api.kinds import SERVICE, Resource

_GROUP = ("argoproj.io", "v1alpha1")
ROLLOUT = Resource(*_GROUP, "Rollout", "rollouts")
_TEMPLATE = Resource(*_GROUP, "AnalysisTemplate", "analysistemplates")
_INGRESS = Resource("networking.k8s.io", "v1", "Ingress", "ingresses")
_WEIGHT = "nginx.ingress.kubernetes.io/canary-weight"


def _documented(setting: Setting, name: str, query: str, largest: float) -> dict[str, Any]:
    """Return a metric as docs/features/analysis.md writes one."""
    return {
        "name": name,
        "initialDelay": setting.every,
        "interval": setting.every,
        "count": LOOKS,
        "failureLimit": TOLERATED,
        "successCondition": f"result[0] <= {largest:g}",
        "provider": {"prometheus": {"address": setting.prometheus, "query": query}},
    }


def _guarded(setting: Setting, name: str, query: str, largest: float) -> dict[str, Any]:
    """Return a metric with every guard that there is: what is missing is inconclusive, and who is away is waited for.

    With more inconclusive looks tolerated, three of three would be a success.
    """
    return {
        **_documented(setting, name, query.replace("{", "_of_20{"), largest),
        "inconclusiveLimit": LOOKS - 1,
        "consecutiveErrorLimit": 1000,
        "successCondition": f"len(result) == 1 && result[0] <= {largest:g}",
        "failureCondition": f"len(result) == 1 && result[0] > {largest:g}",
    }


def _contender(namespace: str, title: str, metric: Any) -> Contender:
    def objects(scenario: str, setting: Setting) -> Iterator[tuple[Resource, dict[str, Any]]]:
        of = f'{{canary="{namespace}/{scenario}"}}'
        metrics = [
            metric(setting, "errors", f"share{of}", SHARE),
            metric(setting, "latency", f"latency{of}", LATENCY),
            metric(setting, "against-stable", f"ratio{of}", RATIO),
        ]
        yield _TEMPLATE, {"metadata": meta(namespace, scenario), "spec": {"metrics": metrics}}
        stable, canary = f"{scenario}-stable", f"{scenario}-canary"
        yield SERVICE, service(namespace, stable, scenario)
        yield SERVICE, service(namespace, canary, scenario)
        backend = {"service": {"name": stable, "port": {"number": 80}}}
        paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
        rules = [{"host": f"{scenario}.example.com", "http": {"paths": paths}}]
        yield _INGRESS, {"metadata": meta(namespace, scenario), "spec": {"ingressClassName": "nginx", "rules": rules}}
        analysis = {"analysis": {"templates": [{"templateName": scenario}]}}
        yield (
            ROLLOUT,
            {
                "metadata": meta(namespace, scenario),
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": {"app": scenario}},
                    "template": pods(scenario, "1"),
                    "strategy": {
                        "canary": {
                            "stableService": stable,
                            "canaryService": canary,
                            "trafficRouting": {"nginx": {"stableIngress": scenario}},
                            "steps": [one for weight in WEIGHTS for one in ({"setWeight": weight}, analysis)],
                        }
                    },
                },
            },
        )

    return Contender(
        name=namespace,
        title=title,
        kind=ROLLOUT,
        route=_INGRESS,
        objects=objects,
        change=(ROLLOUT, {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}),
        serving=_serving,
        weight=_weight,
        outcome=_outcome,
        running=_running,
        crds=ARGO_ROLLOUTS.crds,
    )


def _serving(rollout: Obj) -> str:
    status = rollout.get("status") or {}
    return str(status.get("stableRS", "")) if status.get("phase") == "Healthy" else ""


def _weight(ingress: Obj, _: str) -> int | None:
    weight = (ingress["metadata"].get("annotations") or {}).get(_WEIGHT)
    return None if weight is None else int(weight)


def _outcome(rollout: Obj, stable: str) -> Outcome | None:
    status = rollout.get("status") or {}
    if status.get("abort"):
        return Outcome.ROLLED_BACK
    return Outcome.PROMOTED if status.get("stableRS") != stable else None


@contextmanager
def _running(setting: Setting) -> Iterator[None]:
    arguments = (
        f"--kubeconfig={setting.kubeconfig}",
        "--leader-elect=false",
        # All canaries of a bench are one controller's; by default it would wait for its own limit of calls.
        "--qps=400",
        "--burst=800",
        f"--metricsPort={free_port()}",
        f"--healthzPort={free_port()}",
    )
    with ARGO_ROLLOUTS.running(setting.directory / "argo-rollouts.log", *arguments):
        yield


DOCUMENTED = _contender("argo", f"Argo Rollouts {ARGO_ROLLOUTS.version}", _documented)
GUARDED = _contender("argo-guarded", "Argo Rollouts, guarded", _guarded)
