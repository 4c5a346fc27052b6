"""Makes processes of Deployments, and says in their status how they are.

A controller that was killed leaves its processes serving; the next one takes over those that are still as their
Deployment wants them, and ends the others.

A Deployment that is gone, or scaled down, keeps its processes while a route still sends it traffic; what is removed
drains first. The endpoints annotation names the ready processes for the gateway controller.
"""

import base64
import hashlib
import json
import logging
import shutil
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from modelops.adapters.cluster import KubeClient
from modelops.adapters.watch import Mirror
from modelops.api.kinds import CONFIGMAP, DEPLOYMENT, HTTPROUTE, SECRET
from modelops.api.labels import LOCAL_ENDPOINTS, MANAGED_BY, MANAGER
from modelops.errors import ModelopsError
from modelops.localhome import children
from modelops.localhome.processes.container import Surroundings, UnsupportedLocallyError, command_of
from modelops.localhome.processes.replica import Replica

_LABELS: Final = {MANAGED_BY: MANAGER}
_MARK: Final = "MODELOPS_LOCAL_HOME"
"""In the environment of every process: the state directory it belongs to."""
_Key = tuple[str, str]


class ProcessController:
    """Reconciles every managed Deployment with local processes.

    Args:
        client: the API server.
        state: directory for records and logs.
        environment: what every process inherits.
    """

    def __init__(self, client: KubeClient, state: Path, environment: Mapping[str, str]) -> None:
        self._client = client
        self._state = state
        self._environment = environment
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._log = logging.getLogger(__name__)
        complain = self._log.warning
        self._deployments = Mirror(client, DEPLOYMENT, self._changed, labels=_LABELS, complain=complain)
        self._routes = Mirror(client, HTTPROUTE, self._changed, labels=_LABELS, complain=complain)
        self._replicas: dict[_Key, list[Replica]] = {}
        self._templates: dict[_Key, str] = {}
        self._leaving: list[Replica] = []
        self._left: dict[tuple[str, str, int, str], Path] = {}
        self._swept = False

    def run(self) -> None:
        """Run until `stop`; then end every process."""
        self._find_left()
        self._deployments.start()
        self._routes.start()
        for mirror in (self._deployments, self._routes):
            while not mirror.wait_synced(1):
                if self._stopping.is_set():
                    return
        while not self._stopping.is_set():
            self._changed.wait(1)
            self._changed.clear()
            self._pass()
            self._end_left()
        everyone = [replica for replicas in self._replicas.values() for replica in replicas] + self._leaving
        for replica in everyone:
            replica.stop()
        for replica in everyone:
            replica.join(35)

    def stop(self) -> None:
        """End soon; called from another thread."""
        self._stopping.set()
        self._changed.set()

    def _find_left(self) -> None:
        """Find what a predecessor left running; what died meanwhile, or was never written down, is cleared away."""
        known = set()
        (self._state / "processes").mkdir(parents=True, exist_ok=True)
        for record in (self._state / "processes").glob("*.json"):
            if record.name.startswith("step_"):  # those are the workflow engine's
                continue
            found = children.recorded(record)
            if found is None or "template" not in found:
                children.end_recorded(record)
            else:
                known.add(found["pid"])
                self._left[(found["namespace"], found["deployment"], found["index"], found["template"])] = record
        for pid in children.marked(_MARK, str(self._state)):
            if pid not in known:
                self._log.info("ended process %d, which nobody wrote down", pid)
                children.end_group(pid, grace_seconds=5)

    def _end_left(self) -> None:
        """After the first look, what no Deployment wanted goes, and the volumes of what is not running."""
        if self._swept:
            return
        self._swept = True
        while self._left:
            _, record = self._left.popitem()
            children.end_recorded(record, grace_seconds=30)
        mine = {replica.directory for replicas in self._replicas.values() for replica in replicas}
        for directory in (self._state / "processes").iterdir():
            if directory.is_dir() and directory not in mine:
                shutil.rmtree(directory, ignore_errors=True)

    def _pass(self) -> None:
        deployments = self._deployments.objects()
        for key, deployment in deployments.items():
            try:
                self._reconcile(key, deployment)
            except ModelopsError as error:
                self._log.warning("Deployment %s/%s: %s", *key, error.message)
        routed = self._routed()
        for key in self._replicas.keys() - deployments.keys():
            if key not in routed:
                self._leave(self._replicas.pop(key))
        self._leaving = [replica for replica in self._leaving if not replica.join(0)]

    def _routed(self) -> set[_Key]:
        """Return the Services, which bear the names of their Deployments, that a route still sends traffic to."""
        return {
            (namespace, backend["name"])
            for (namespace, _), route in self._routes.objects().items()
            for rule in route["spec"].get("rules") or ()
            for backend in rule.get("backendRefs") or ()
            if backend.get("weight", 1) > 0
        }

    def _reconcile(self, key: _Key, deployment: Mapping[str, Any]) -> None:
        spec = deployment["spec"]
        wanted = int(spec.get("replicas", 1))
        held = self._replicas.setdefault(key, [])
        template = _hash(spec["template"])
        if held and self._templates.get(key) != template:
            self._leave(held)
            held = self._replicas[key] = []
        self._templates[key] = template
        problem = ""
        try:
            while len(held) < wanted:
                held.append(self._begin(key, deployment, len(held)))
        except UnsupportedLocallyError as error:
            problem = str(error)
        self._leave(held[wanted:])
        del held[wanted:]
        self._say(deployment, held, wanted, problem)

    def _begin(self, key: _Key, deployment: Mapping[str, Any], index: int) -> Replica:
        template = deployment["spec"]["template"]
        note: dict[str, str | int]
        note = {"namespace": key[0], "deployment": key[1], "index": index, "template": _hash(template)}
        left = self._left.pop((*key, index, str(note["template"])), None)
        found = children.recorded(left) if left is not None else None
        port = int(found["port"]) if found else children.free_port()
        name = f"{key[0]}.{key[1]}.{index}"
        directory = self._state / "processes" / f"{name}.{port}"
        given = Surroundings(port, directory, partial(self._value, key[0]))
        replica = Replica(
            command_of(template, given),
            given,
            log=self._state / "logs" / f"{name}.log",
            record=self._state / "processes" / f"{name}.{port}.json",
            note=note | {"port": port},
            environment={**self._environment, _MARK: str(self._state)},
            changed=self._changed.set,
            adopted=children.Adopted(found["pid"], found["startTime"]) if found else None,
            ready=found is not None and f"127.0.0.1:{port}" in _endpoints(deployment),
        )
        replica.start()
        self._log.info("%s %s on port %d", "took over" if found else "started", name, port)
        return replica

    def _value(self, namespace: str, kind: str, name: str, key: str) -> str | None:
        found = self._client.get(SECRET if kind == "Secret" else CONFIGMAP, namespace, name)
        value = ((found or {}).get("data") or {}).get(key)
        if value is None:
            return None
        return base64.b64decode(value).decode("utf-8", "replace") if kind == "Secret" else str(value)

    def _leave(self, replicas: list[Replica]) -> None:
        for replica in replicas:
            replica.stop()
            self._leaving.append(replica)

    def _say(self, deployment: Mapping[str, Any], held: list[Replica], wanted: int, problem: str) -> None:
        meta = deployment["metadata"]
        ready = [replica for replica in held if replica.ready]
        endpoints = ",".join(f"127.0.0.1:{replica.port}" for replica in ready)
        if ",".join(_endpoints(deployment)) != endpoints:
            patch = {"metadata": {"annotations": {LOCAL_ENDPOINTS: endpoints}}}
            self._client.merge_patch(DEPLOYMENT, meta["namespace"], meta["name"], patch)
        status = _status(deployment, held, len(ready), wanted, problem)
        if status != deployment.get("status"):
            self._client.merge_patch(
                DEPLOYMENT, meta["namespace"], meta["name"], {"status": status}, subresource="status"
            )


def _endpoints(deployment: Mapping[str, Any]) -> list[str]:
    written = (deployment["metadata"].get("annotations") or {}).get(LOCAL_ENDPOINTS, "")
    return [address for address in str(written).split(",") if address]


def _hash(template: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()


def _status(
    deployment: Mapping[str, Any], held: list[Replica], ready: int, wanted: int, problem: str
) -> dict[str, Any]:
    before = {c["type"]: c for c in (deployment.get("status") or {}).get("conditions") or ()}
    failing = problem or next((replica.message for replica in held if "BackOff" in replica.message), "")
    available = ready >= max(1, wanted) or wanted == 0
    progressing = ("False", "UnsupportedLocally" if problem else "CrashLoopBackOff", failing)
    if not failing:
        progressing = (
            "True",
            "NewReplicaSetAvailable" if available else "ReplicaSetUpdated",
            f"{ready}/{wanted} ready",
        )
    conditions = [
        _condition(before, "Available", "True" if available else "False", "MinimumReplicas", f"{ready}/{wanted} ready"),
        _condition(before, "Progressing", *progressing),
    ]
    return {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": len(held),
        "updatedReplicas": len(held),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(0, wanted - ready),
        "conditions": conditions,
    }


def _condition(before: Mapping[str, Any], kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    now = datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    old = before.get(kind)
    since = old["lastTransitionTime"] if old and old["status"] == status else now
    same = old is not None and (old["status"], old["reason"], old["message"]) == (status, reason, message)
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
        "lastUpdateTime": old["lastUpdateTime"] if same and old else now,
    }
