"""Plays what a cluster without nodes lacks, for the chart's own pods: controllers of Deployment and Job, and a kubelet.

A container becomes a process here with the command and the environment that the chart gives it, and the token of its
service account. Addresses and paths that only a pod has are replaced; nothing else is.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from modelops.adapters.cluster import path_of
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import DEPLOYMENT, SECRET, Resource
from tests.chart.cluster import SYSTEM, Cluster
from tests.support.installed import token_of
from tests.support.kube_apiserver import kubeconfig
from tests.support.operators import Replica, free_port

JOB = Resource("batch", "v1", "Job", "jobs")
_PROGRAMS = {"python": sys.executable, "modelops": str(Path(sys.executable).with_name("modelops"))}


class Node:
    """Runs the pods of one namespace until it is left.

    Attributes:
        pods: the operators that run now.
        jobs: what each Job printed, by its name.
    """

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.pods: list[Replica] = []
        self.jobs: dict[str, str] = {}
        self.failure: BaseException | None = None
        self._cluster = cluster
        self._directory = directory
        self._template = ""
        self._count = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        for pod in self.pods:
            self._end(pod)

    def _run(self) -> None:
        admin = self._cluster.admin
        try:
            while not self._stopped.wait(0.1):
                deployments = admin.list(DEPLOYMENT, SYSTEM)
                for deployment in deployments:
                    self._fit(deployment)
                if not deployments:
                    self._fit_to(0, {})
                for job in admin.list(JOB, SYSTEM):
                    if not (job.get("status") or {}).get("conditions"):
                        self._finish(job)
        except BaseException as error:  # told to the test, which waits for what never comes
            self.failure = error
            raise

    def _fit(self, deployment: dict[str, Any]) -> None:
        """Start and end pods as a Deployment says, a changed template all at once, and report."""
        template, wanted = deployment["spec"]["template"], deployment["spec"]["replicas"]
        self._fit_to(wanted, template)
        ready = sum(pod.ready for pod in self.pods)
        status = {"observedGeneration": deployment["metadata"]["generation"]}
        status |= {"replicas": len(self.pods), "updatedReplicas": len(self.pods), "readyReplicas": ready}
        told = deployment.get("status") or {}
        if any(told.get(key, 0) != value for key, value in status.items()):
            self._report(DEPLOYMENT, deployment, status)

    def _fit_to(self, wanted: int, template: dict[str, Any]) -> None:
        made = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()
        gone = self.pods if wanted and made != self._template else self.pods[wanted:]
        for pod in list(gone):
            self._end(pod)
            self.pods.remove(pod)
        self._template = made if wanted else self._template
        while len(self.pods) < wanted:
            self.pods.append(self._start(template["spec"]))

    def _start(self, spec: dict[str, Any]) -> Replica:
        self._count += 1
        name, health, metrics = f"modelops-{self._count}", free_port(), free_port()
        place = self._directory / name
        place.mkdir()
        own = {"MODELOPS_HEALTH_PORT": str(health), "MODELOPS_METRICS_PORT": str(metrics)}
        own |= {"MODELOPS_LISTEN": "127.0.0.1", "MODELOPS_GIT_CACHE_DIR": str(place / "git"), "TMPDIR": str(place)}
        process = self._process(spec, name, own, self._directory / f"{name}.log")
        return Replica(name, self._directory, process, health, metrics)

    def _process(self, spec: dict[str, Any], name: str, own: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
        container = spec["containers"][0]
        config = self._directory / f"{name}.kubeconfig"
        account = ServiceAccount(SYSTEM, spec["serviceAccountName"])
        config.write_text(kubeconfig(self._cluster.server.url, token_of(self._cluster.admin, account)))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("MODELOPS_", "KUBECONFIG"))}
        environment = kept | self._environment(container, name) | own
        environment |= {"KUBECONFIG": str(config), "PYTHONWARNINGS": "ignore"}
        program, *arguments = container["command"]
        with log.open("wb") as out:
            return subprocess.Popen([_PROGRAMS[program], *arguments], env=environment, stdout=out, stderr=out)

    def _environment(self, container: dict[str, Any], pod: str) -> dict[str, str]:
        found = {}
        for entry in container.get("env") or ():
            source = entry.get("valueFrom") or {}
            if "fieldRef" in source:
                assert source["fieldRef"]["fieldPath"] == "metadata.name"
                found[entry["name"]] = pod
            elif "secretKeyRef" in source:
                wanted = source["secretKeyRef"]
                secret = self._cluster.admin.get(SECRET, SYSTEM, wanted["name"]) or {}
                assert wanted["optional"] or wanted["key"] in secret["data"]
                if wanted["key"] in secret.get("data", {}):
                    found[entry["name"]] = secret["data"][wanted["key"]]
            else:
                found[entry["name"]] = entry.get("value", "")
        return found

    def _finish(self, job: dict[str, Any]) -> None:
        """Run a Job's container to its end beside everything else, and report."""
        name = job["metadata"]["name"]
        if name not in self.jobs:
            self.jobs[name] = ""
            threading.Thread(target=self._try, args=(job,)).start()

    def _try(self, job: dict[str, Any]) -> None:
        name, spec, began, succeeded = job["metadata"]["name"], job["spec"], _now(), False
        log = self._directory / f"{name}.log"
        # The first may come before the API server has heard of the roles that were made just before it.
        for _ in range(1 + spec["backoffLimit"]):
            succeeded = self._process(spec["template"]["spec"], name, {}, log).wait(120) == 0
            self.jobs[name] += log.read_text()
            if succeeded or self._stopped.wait(1):
                break
        ended = {"status": "True", "lastProbeTime": began, "lastTransitionTime": _now()}
        first, last = ("SuccessCriteriaMet", "Complete") if succeeded else ("FailureTarget", "Failed")
        status: dict[str, Any] = {"startTime": began, "conditions": [{"type": kind, **ended} for kind in (first, last)]}
        status |= {"completionTime": _now(), "succeeded": 1} if succeeded else {"failed": 1}
        self._report(JOB, job, status)

    def _report(self, resource: Resource, obj: dict[str, Any], status: dict[str, Any]) -> None:
        path = f"{path_of(resource, SYSTEM, obj['metadata']['name'])}/status"
        patch = "application/merge-patch+json"
        self._cluster.admin.request("PATCH", path, body={"status": status}, content_type=patch, what="status")

    @staticmethod
    def _end(pod: Replica) -> None:
        if pod.process.poll() is None:
            pod.signal(signal.SIGTERM)
            try:
                pod.ended(20)
            except subprocess.TimeoutExpired:
                pod.signal(signal.SIGKILL)
                pod.ended(10)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
