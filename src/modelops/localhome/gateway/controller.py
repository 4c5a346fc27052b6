"""Keeps Envoy as the HTTPRoutes say, and says so in their status once Envoy confirmed it.

Order is everything: endpoints are in force before their cluster, a cluster is confirmed before a route names it, and
goes only when no route has named it for a while. A route's status is written after its configuration is in force, never
before, because weights are trusted from then on.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from modelops.adapters.cluster import KubeClient
from modelops.adapters.watch import Mirror, wait_for_change
from modelops.api.kinds import DEPLOYMENT, HTTPROUTE, SERVICE
from modelops.api.labels import LOCAL_ENDPOINTS, MANAGED_BY, MANAGER
from modelops.errors import Conflict, ModelopsError, Stalled
from modelops.localhome.gateway import bootstrap
from modelops.localhome.gateway.admin import CLUSTERS_STAT, ROUTES_STAT, EnvoyAdmin
from modelops.localhome.gateway.translate import Key, Verdict, World, cluster_name, translate
from modelops.localhome.home import Home

CONTROLLER: Final = "modelops.dev/local-gateway"
DRAIN_SECONDS: Final = 5.0
"""How long a cluster stays after the last route that named it: for requests in flight, and a last scrape."""
_CONFIRM_SECONDS: Final = 10.0
_LABELS: Final = {MANAGED_BY: MANAGER}


class GatewayController:
    """Reconciles one Envoy with the API server.

    Args:
        client: the API server.
        state: the local home's state directory; home.json names Envoy's admin port.
    """

    def __init__(self, client: KubeClient, state: Path) -> None:
        ports = Home(state).read().get("ports") or {}
        if "envoyAdmin" not in ports:
            raise Stalled("NoHome", f"{state} holds no home.json with ports; start with `modelops local up`")
        self._client = client
        self._directory = state / "envoy"
        self._targets = state / "prometheus" / "targets" / "servers.json"
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._admin = EnvoyAdmin(ports["envoyAdmin"], self._stopping.is_set)
        self._log = logging.getLogger(__name__)
        complain = self._log.warning
        self._routes = Mirror(client, HTTPROUTE, self._changed, complain=complain)
        self._services = Mirror(client, SERVICE, self._changed, labels=_LABELS, complain=complain)
        self._deployments = Mirror(client, DEPLOYMENT, self._changed, labels=_LABELS, complain=complain)
        self._clusters: dict[str, Mapping[str, Any]] = {}
        self._unnamed_since: dict[str, float] = {}

    def run(self) -> None:
        """Run until `stop`. Envoy goes on as it was last told."""
        mirrors = (self._routes, self._services, self._deployments)
        for mirror in mirrors:
            mirror.start()
        for mirror in mirrors:
            while not mirror.wait_synced(1):
                if self._stopping.is_set():
                    return
        written = json.loads(bootstrap.clusters_file(self._directory).read_text(encoding="utf-8"))
        self._clusters = {c["name"]: {k: v for k, v in c.items() if k != "@type"} for c in written["resources"]}
        self._changed.set()
        while wait_for_change(self._changed, seconds=1.0, stopped=self._stopping):
            try:
                self.once()
            except ModelopsError as error:
                self._log.warning("%s", error.message)
                self._stopping.wait(0.2)
                self._changed.set()

    def stop(self) -> None:
        """End soon; called from another thread."""
        self._stopping.set()
        self._changed.set()

    def once(self) -> None:
        """Bring Envoy to what the objects say, then say so.

        Raises:
            ModelopsError: Envoy or the API server is away, or Envoy refused a file.
        """
        routes = self._routes.objects()
        wanted = translate(World(routes, self._services.objects(), self._deployments.objects()))
        self._tell_endpoints(wanted.endpoints)
        clusters = {name: bootstrap.with_endpoints(self._directory, one) for name, one in wanted.clusters.items()}
        self._tell_clusters({**self._clusters, **clusters})
        self._tell(
            ROUTES_STAT, bootstrap.routes_file(self._directory), bootstrap.ROUTE_TYPE, [wanted.route_configuration]
        )
        for key, verdict in wanted.verdicts.items():
            self._say(routes[key], verdict)
        self._let_go(wanted.clusters)
        self._point_prometheus()

    def _tell_clusters(self, clusters: dict[str, Mapping[str, Any]]) -> None:
        resources = [clusters[name] for name in sorted(clusters)]
        self._tell(CLUSTERS_STAT, bootstrap.clusters_file(self._directory), bootstrap.CLUSTER_TYPE, resources)
        self._clusters = clusters

    def _tell_endpoints(self, endpoints: Mapping[str, Mapping[str, Any]]) -> None:
        known = self._admin.endpoint_versions()
        for name, assignment in sorted(endpoints.items()):
            path = bootstrap.endpoints_file(self._directory, name)
            if name in known:
                self._tell(f"cluster.{name}", path, bootstrap.ENDPOINTS_TYPE, [assignment], in_force=known[name])
            else:  # It is read when the cluster comes.
                document = bootstrap.discovery(bootstrap.ENDPOINTS_TYPE, _version([assignment]), [assignment])
                bootstrap.put(path, document)

    def _tell(
        self, stat: str, path: Path, type_url: str, resources: list[Mapping[str, Any]], in_force: str | None = None
    ) -> None:
        version = _version(resources)
        if (self._admin.version(stat) if in_force is None else in_force) == version:
            return
        before = self._admin.rejected(stat)
        bootstrap.put(path, bootstrap.discovery(type_url, version, resources))
        self._admin.wait(stat, version, rejected_before=before, seconds=_CONFIRM_SECONDS)
        self._log.info("%s is at version %s with %d resources", stat, version, len(resources))

    def _let_go(self, wanted: Mapping[str, Any]) -> None:
        now = time.monotonic()
        leaving = self._clusters.keys() - wanted.keys()
        self._unnamed_since = {name: self._unnamed_since.get(name, now) for name in leaving}
        over = {name for name, since in self._unnamed_since.items() if now - since >= DRAIN_SECONDS}
        if over:
            self._tell_clusters({name: c for name, c in self._clusters.items() if name not in over})
            for name in over:
                bootstrap.endpoints_file(self._directory, name).unlink(missing_ok=True)

    def _say(self, route: Mapping[str, Any], verdict: Verdict) -> None:
        meta, spec = route["metadata"], route["spec"]
        before = {
            json.dumps(p["parentRef"], sort_keys=True): p for p in (route.get("status") or {}).get("parents") or ()
        }
        parents = []
        for reference in spec.get("parentRefs") or ():
            old = before.get(json.dumps(reference, sort_keys=True), {}).get("conditions") or ()
            parents.append(
                {
                    "parentRef": reference,
                    "controllerName": CONTROLLER,
                    "conditions": _conditions(verdict, meta.get("generation", 0), {c["type"]: c for c in old}),
                }
            )
        if parents == ((route.get("status") or {}).get("parents") or []):
            return
        # The resourceVersion guards against saying of a newer route what is true of an older one.
        patch = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "status": {"parents": parents}}
        try:
            self._client.merge_patch(HTTPROUTE, meta["namespace"], meta["name"], patch, subresource="status")
        except Conflict:
            self._changed.set()

    def _point_prometheus(self) -> None:
        groups = []
        for (namespace, name), deployment in sorted(self._deployments.objects().items()):
            written = (deployment["metadata"].get("annotations") or {}).get(LOCAL_ENDPOINTS, "")
            if written:
                labels = {"namespace": namespace, "deployment": name, "cluster": cluster_name(namespace, name)}
                groups.append({"targets": written.split(","), "labels": labels})
        text = json.dumps(groups, indent=1)
        if not self._targets.exists() or self._targets.read_text(encoding="utf-8") != text:
            self._targets.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._targets.with_suffix(".new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self._targets)


def _version(resources: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]


def _conditions(verdict: Verdict, generation: int, before: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    said = (
        ("Accepted", verdict.accepted, "Accepted" if verdict.accepted else "UnsupportedValue"),
        ("ResolvedRefs", verdict.resolved, "ResolvedRefs" if verdict.resolved else "BackendNotFound"),
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = []
    for kind, true, reason in said:
        status = "True" if true else "False"
        old = before.get(kind, {})
        conditions.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": "in force at the gateway" if true else verdict.message,
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == status else now,
            }
        )
    return conditions


__all__ = ["CONTROLLER", "GatewayController", "Key"]
