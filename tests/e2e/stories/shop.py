"""A release of tiny servers behind the real Envoy Gateway, and customers who ask them: what stories of traffic share.

The servers are our server image with tests/support/tiny_server.py; the customers are a pod with tests/support/load.py.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from modelops.adapters.mlflow_runs import MlflowRuns
from modelops.api.kinds import MODELRELEASE, POD, SERVICE
from modelops.api.labels import COMMAND, RELEASE
from modelops.errors import ModelopsError
from tests.e2e.stories.estate import Estate, is_ready
from tests.e2e.surroundings import built, gateway
from tests.e2e.surroundings.chart import NAME, SYSTEM
from tests.support.load import PORT
from tests.support.operators import until

SUPPORT: Final = Path(__file__).parents[2] / "support"
METRIC: Final = {
    "name": "success-rate",
    "builtin": "success-rate",
    "thresholdRange": {"min": 0.95},
    "minSamples": 5,
}
LAG: Final = 10.0
"""Seconds from a status that the gateway confirmed to the answers: Envoy Gateway confirms before its proxy has it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answers of one version with one status."""

    status: int
    version: str
    count: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Customers:
    """A pod that asks all the time."""

    estate: Estate
    namespace: str
    name: str

    def answers(self) -> list[Answer]:
        """Return what came back so far."""
        return [Answer(**one) for one in self._told()["answers"]]

    def counts(self) -> Counter[tuple[int, str]]:
        """Return how many answers there were so far by status and version."""
        return Counter({(one.status, one.version): one.count for one in self.answers()})

    def since(self, before: Counter[tuple[int, str]]) -> Counter[tuple[int, str]]:
        """Return the answers since an earlier count."""
        return self.counts() - before

    def failed(self, bad: Iterable[str] = ()) -> list[str]:
        """Return what failed, other than what a bad version answered itself."""
        wrong = [f"{a.count} × {a.status} of {a.version or 'nobody'}" for a in self.answers() if _is_wrong(a, bad)]
        return [*wrong, *self._told()["errors"]] if wrong else []

    def _told(self) -> dict[str, Any]:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}:{PORT}/proxy/"
        told = self.estate.client.request("GET", path)
        assert told is not None, f"no pod {self.name}"
        return told


def _is_wrong(answer: Answer, bad: Iterable[str]) -> bool:
    return answer.status != 200 and answer.version not in bad


@dataclass
class Shop:
    """One release in a namespace, by the name of its namespace everywhere: model, host and alias."""

    estate: Estate
    namespace: str
    name: str = "price"
    versions: list[str] = field(default_factory=list)
    """In the order in which they were registered."""
    faults: dict[str, str] = field(default_factory=dict)
    """Variables of tests/support/tiny_server.py, such as BAD; part of every revision, so set them first."""
    replicas: int = 1

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace}.example.com"

    def register(self, count: int) -> list[str]:
        """Register so many versions, each another model."""
        runs, model = MlflowRuns(self.estate.mlflow), f"{self.namespace}-{self.name}"
        runs.ensure_model(model)
        run = runs.create_run(runs.experiment("stories"), model, {}, start_time=1)
        for _ in range(count):
            tags = {"modelops.artifactDigest": f"sha256:{uuid.uuid4().hex * 2}"}
            self.versions.append(runs.create_version(model, run, "model", tags).version)
        return self.versions

    def manifest(self, version: str, strategy: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Return the release, as it stands in git.

        Args:
            version: of the model.
            strategy: as in the spec.
            more: of the spec.
        """
        source = (SUPPORT / "tiny_server.py").read_text(encoding="utf-8")
        container = {
            "name": "server",
            "image": built.name_of("server"),
            "command": ["python", "-c", source],
            "env": [{"name": "HOST", "value": "0.0.0.0"}, *({"name": k, "value": v} for k, v in self.faults.items())],
            "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1},
        }
        spec = {
            "model": {"name": f"{self.namespace}-{self.name}", "version": version},
            "serving": {"runtime": "custom", "podTemplate": {"spec": {"containers": [container]}}},
            "traffic": {"hostnames": [self.host], "timeout": "3s"},
            "strategy": strategy,
            "analysis": {"interval": "1s", "warmUp": "2s", "metrics": [METRIC]},
        }
        spec["serving"] |= {"replicas": self.replicas} if self.replicas > 1 else {}
        kind = {"apiVersion": MODELRELEASE.resource.api_version, "kind": MODELRELEASE.resource.kind}
        return {**kind, "metadata": {"name": self.name, "namespace": self.namespace}, "spec": {**spec, **more}}

    def release(self, version: str, strategy: Mapping[str, Any], **more: Any) -> None:
        """Ask for a version; see `manifest`."""
        self.estate.client.apply(MODELRELEASE.resource, self.manifest(version, strategy, **more))

    def open(self, strategy: Mapping[str, Any], **more: Any) -> None:
        """Release the first version and wait until customers are served."""
        self.release(self.versions[0], strategy, **more)
        self.settled(self.versions[0], "Promoted", 120)

    def close(self) -> None:
        """Delete the release, and wait until its servers have given back what they had."""
        self.estate.client.delete(MODELRELEASE.resource, self.namespace, self.name)
        until(lambda: not self._pods(), 120, lambda: self.estate.pods(self.namespace), 0.2)

    def _pods(self) -> list[dict[str, Any]]:
        """Return the release's pods, those included that are being deleted."""
        return list(self.estate.client.list(POD, self.namespace, {RELEASE: self.name}))

    def status(self) -> dict[str, Any]:
        """Return the release's status."""
        return self.estate.status(MODELRELEASE, self.namespace, self.name)

    def until(self, phase: str, version: str, seconds: float = 90, **more: Any) -> dict[str, Any]:
        """Return the status once a canary's version is in a phase, and the fields of the status are so."""

        def there(status: dict[str, Any]) -> bool:
            canary = (status.get("canary") or {}).get("version")
            named = all(status.get(key) == value for key, value in more.items())
            return status.get("phase") == phase and canary == version and named

        return self.estate.until(MODELRELEASE, self.namespace, self.name, there, seconds)

    def settled(self, version: str, outcome: str, seconds: float = 120) -> dict[str, Any]:
        """Return the record of a version once its fate is settled; it must be this one."""

        def last() -> dict[str, Any]:
            history: Sequence[dict[str, Any]] = self.status().get("history") or ({},)
            return dict(history[-1]) if history[-1].get("version") == version else {}

        record: dict[str, Any] = until(last, seconds, lambda: json.dumps(self.status()), 0.1)
        assert record["outcome"] == outcome, record
        return record

    def say(self, verb: str, **more: Any) -> None:
        """Give a command to the canary, as `modelops release` does."""
        status = self.status()
        revision = (status.get("canary") or {}).get("revision", "")
        words = {"verb": verb, "id": uuid.uuid4().hex, "revision": revision, "step": status.get("step", 0), **more}
        patch = {"metadata": {"annotations": {COMMAND: json.dumps(words)}}}
        self.estate.client.merge_patch(MODELRELEASE.resource, self.namespace, self.name, patch)

    def servers(self, version: str) -> list[dict[str, Any]]:
        """Return the pods of a version."""
        status = self.status()
        both = (status.get("stable") or {}, status.get("canary") or {})
        revision = next(one["revision"] for one in both if one.get("version") == version)
        pods = self.estate.pods(self.namespace, {RELEASE: self.name})
        return [pod for pod in pods if pod["metadata"]["name"].startswith(f"{self.name}-{revision}-")]

    @contextmanager
    def customers(self, name: str = "customers", connections: int = 4, **headers: str) -> Iterator[Customers]:
        """Ask through the gateway until the block ends."""
        with customers(self.estate, self.namespace, name, self.host, "/infer", connections, headers) as found:
            yield found


@contextmanager
def customers(
    estate: Estate,
    namespace: str,
    name: str,
    host: str,
    path: str,
    connections: int = 4,
    headers: Mapping[str, str] | None = None,
    bodies: Sequence[Any] = ({},),
) -> Iterator[Customers]:
    """Ask a host and path through the gateway, from a pod of a name, until the block ends."""
    source = (SUPPORT / "load.py").read_text(encoding="utf-8")
    told = {
        "URL": f"http://{address(estate)}{path}",
        "HOST": host,
        "CONNECTIONS": str(connections),
        "HEADERS": json.dumps(headers or {}),
        "BODIES": json.dumps(bodies, separators=(",", ":")),
    }
    container = {
        "name": "customers",
        "image": built.name_of("server"),
        "command": ["python", "-c", source],
        "env": [{"name": key, "value": value} for key, value in told.items()],
    }
    spec = {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
    estate.client.apply(POD, {"metadata": {"name": name, "namespace": namespace}, "spec": spec})
    found = Customers(estate, namespace, name)
    try:
        until(lambda: _asks(found), 60, lambda: estate.pods(namespace), 0.2)
        yield found
    finally:
        estate.client.delete(POD, namespace, name)
        until(lambda: estate.client.get(POD, namespace, name) is None, 60, f"pod {name} is gone", 0.1)


def _asks(customers: Customers) -> bool:
    pod = customers.estate.client.get(POD, customers.namespace, customers.name)
    if pod is None or not is_ready(pod):
        return False
    try:
        return bool(customers.answers())
    except ModelopsError:  # it does not listen yet
        return False


def address(estate: Estate) -> str:
    """Return the host name of the gateway's proxy for pods."""
    labels = {
        "gateway.envoyproxy.io/owning-gateway-name": NAME,
        "gateway.envoyproxy.io/owning-gateway-namespace": SYSTEM,
    }
    services = estate.client.list(SERVICE, gateway.NAMESPACE)
    wanted = (s for s in services if labels.items() <= (s["metadata"].get("labels") or {}).items())
    return f"{next(wanted)['metadata']['name']}.{gateway.NAMESPACE}.svc.cluster.local"
