"""Flagger as a contender, in two configurations, over the Gateway API."""

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
)
from bench.verdicts.peers import FLAGGER
from bench.verdicts.scenarios import Outcome
from modelops.api.kinds import DEPLOYMENT, HTTPROUTE, Resource

CANARY = Resource("flagger.app", "v1beta1", "Canary", "canaries")
_TEMPLATE = Resource("flagger.app", "v1beta1", "MetricTemplate", "metrictemplates")
_USUAL = 5
"""The threshold of most examples in its documentation."""


def _contender(namespace: str, title: str, threshold: int) -> Contender:
    def objects(scenario: str, setting: Setting) -> Iterator[tuple[Resource, dict[str, Any]]]:
        asked = {"errors": ("share", SHARE), "latency": ("latency", LATENCY), "against-stable": ("ratio", RATIO)}
        metrics = []
        for name, (series, largest) in asked.items():
            template = f"{scenario}-{name}"
            provider = {"type": "prometheus", "address": setting.prometheus}
            query = f'{series}{{canary="{namespace}/{scenario}"}}'
            yield _TEMPLATE, {"metadata": meta(namespace, template), "spec": {"provider": provider, "query": query}}
            limits = {"thresholdRange": {"max": largest}, "interval": setting.every}
            metrics.append({"name": name, "templateRef": {"name": template}, **limits})
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": scenario}}, "template": pods(scenario, "1")}
        yield DEPLOYMENT, {"metadata": meta(namespace, scenario), "spec": spec}
        yield (
            CANARY,
            {
                "metadata": meta(namespace, scenario),
                "spec": {
                    "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": scenario},
                    "service": {
                        "port": 80,
                        "targetPort": 8080,
                        "hosts": [f"{scenario}.example.com"],
                        "gatewayRefs": [{"name": "gateway", "namespace": "default"}],
                    },
                    "analysis": {
                        "interval": setting.every,
                        "threshold": threshold,
                        # Every look moves the weight, so it gets as many looks as the others by one percent each.
                        "stepWeights": [weight + look for weight in WEIGHTS for look in range(LOOKS)],
                        "metrics": metrics,
                    },
                },
            },
        )

    return Contender(
        name=namespace,
        title=title,
        kind=CANARY,
        route=HTTPROUTE,
        objects=objects,
        change=(DEPLOYMENT, {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}),
        serving=lambda canary: "primary" if (canary.get("status") or {}).get("phase") == "Initialized" else "",
        weight=_weight,
        outcome=_outcome,
        running=_running,
        crds=FLAGGER.crds,
        shortest=10,
    )


def _weight(route: Obj, _: str) -> int | None:
    backends = route["spec"]["rules"][0]["backendRefs"]
    return next((one.get("weight", 1) for one in backends if one["name"].endswith("-canary")), None)


def _outcome(canary: Obj, _: str) -> Outcome | None:
    ends = {"Succeeded": Outcome.PROMOTED, "Failed": Outcome.ROLLED_BACK}
    return ends.get((canary.get("status") or {}).get("phase", ""))


@contextmanager
def _running(setting: Setting) -> Iterator[None]:
    arguments = (
        f"-kubeconfig={setting.kubeconfig}",
        "-mesh-provider=gatewayapi:v1",
        f"-metrics-server={setting.prometheus}",
        f"-port={free_port()}",
        "-log-level=info",
    )
    with FLAGGER.running(setting.directory / "flagger.log", *arguments):
        yield


STRICT = _contender("flagger", f"Flagger {FLAGGER.version}, threshold {TOLERATED + 1}", TOLERATED + 1)
USUAL = _contender("flagger-usual", f"Flagger, threshold {_USUAL}", _USUAL)
