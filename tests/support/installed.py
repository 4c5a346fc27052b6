"""modelops as it is installed on a cluster: CRDs, its roles, and the operator's process with the token of its account."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import HTTPROUTE, KINDS, NAMESPACE, SERVICEACCOUNT, WORKFLOW, Resource
from tests.support.kube_apiserver import KubeApiServer, kubeconfig

ROOT = Path(__file__).parents[2]
OPERATOR = ServiceAccount("modelops-system", "modelops")
CRD = Resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
_RBAC = "rbac.authorization.k8s.io"
ROLE = Resource(_RBAC, "v1", "Role", "roles")
ROLEBINDING = Resource(_RBAC, "v1", "RoleBinding", "rolebindings")
CLUSTERROLE = Resource(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTERROLEBINDING = Resource(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
_INSTALLED = {one.kind: one for one in (NAMESPACE, SERVICEACCOUNT, ROLE, ROLEBINDING, CLUSTERROLE, CLUSTERROLEBINDING)}
_PATIENCE = 60.0


def until(holds: Callable[[], Any], told: Callable[[], Any] = lambda: "", seconds: float = _PATIENCE) -> Any:
    """Return what a condition returns once that is true; fail with what is told."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := holds():
            return value
        time.sleep(0.05)
    raise AssertionError(f"it did not happen in {seconds:.0f} s: {told()}")


def foreign_definition(resource: Resource, *, status: bool) -> dict[str, Any]:
    """Return a definition of somebody else's kind that takes everything."""
    version = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        "subresources": {"status": {}} if status else {},
    }
    names = {"kind": resource.kind, "plural": resource.plural}
    # The Gateway API's group is protected: a definition there has to say that it was reviewed.
    about = {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/0"}
    return {
        "metadata": {"name": f"{resource.plural}.{resource.group}", "annotations": about},
        "spec": {"group": resource.group, "names": names, "scope": "Namespaced", "versions": [version]},
    }


def install(server: KubeApiServer) -> KubeClient:
    """Install definitions and roles; return an administrator's client."""
    path = server.directory / "admin.kubeconfig"
    path.write_text(kubeconfig(server.url, server.token))
    admin = KubeClient.from_kubeconfig(str(path))
    ours = [yaml.safe_load((ROOT / "crds" / f"{kind.resource.plural}.yaml").read_text()) for kind in KINDS]
    foreign = [foreign_definition(WORKFLOW, status=False), foreign_definition(HTTPROUTE, status=True)]
    for definition in [*ours, *foreign]:
        admin.apply(CRD, definition)
    for obj in yaml.safe_load_all((ROOT / "operator" / "rbac.yaml").read_text()):
        admin.apply(_INSTALLED[obj["kind"]], obj)
    served = [*(kind.resource for kind in KINDS), WORKFLOW, HTTPROUTE]
    for resource in served:
        until(lambda resource=resource: admin.list_page(resource, None) is not None)
        # A new resource reaches the schemas that apply needs a moment after it is served.
        schemas = f"/openapi/v3/apis/{resource.group}/{resource.version}"
        until(lambda: json.dumps(admin.request("GET", "/openapi/v3")).count(schemas.removeprefix("/openapi/v3/")))
    return admin


def token_of(admin: KubeClient, account: ServiceAccount) -> str:
    """Return a token that the API server made for an account."""
    path = f"/api/v1/namespaces/{account.namespace}/serviceaccounts/{account.name}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    answer = admin.request("POST", path, body=body)
    assert answer is not None
    return str(answer["status"]["token"])


@dataclass(slots=True)
class Operator:
    """`python -m modelops.app`, known to the API server as its service account and as nobody else."""

    server: KubeApiServer
    token: str
    settings: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Operator":
        """Start it; what it says is in operator.log beside the API server's."""
        path = self.server.directory / "operator.kubeconfig"
        path.write_text(kubeconfig(self.server.url, self.token))
        own = {key: value for key, value in os.environ.items() if not key.startswith("MODELOPS_")}
        settings = {
            "KUBECONFIG": str(path),
            "MODELOPS_ALLOWED_GIT_SCHEMES": "file",
            "MODELOPS_GIT_CACHE_DIR": str(self.server.directory / "mirrors"),
            "MODELOPS_LISTEN": "127.0.0.1",
            "MODELOPS_METRICS_PORT": "0",
            "MODELOPS_HEALTH_PORT": "0",
            **self.settings,
        }
        with (self.server.directory / "operator.log").open("ab") as log:
            command = [sys.executable, "-m", "modelops.app"]
            self.process = subprocess.Popen(command, env={**own, **settings}, stdout=log, stderr=log)
        return self

    def stop(self) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


def bind(admin: KubeClient, namespace: str, name: str, role: str, subject: ServiceAccount, kind: str = "Role") -> None:
    """Bind a role to an account in a namespace."""
    admin.apply(
        ROLEBINDING,
        {
            "metadata": {"name": name, "namespace": namespace},
            "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": subject.name, "namespace": subject.namespace}],
        },
    )


def grant(admin: KubeClient, account: ServiceAccount, *rules: tuple[str, str]) -> None:
    """Give an account exactly these rights in its namespace: (verbs, resources with their group), comma-separated."""
    written = []
    for verbs, resources in rules:
        for resource in resources.split(","):
            plural, _, group = resource.partition(".")
            written.append({"apiGroups": [group], "resources": [plural], "verbs": verbs.split(",")})
    admin.apply(ROLE, {"metadata": {"name": account.name, "namespace": account.namespace}, "rules": written})
    bind(admin, account.namespace, account.name, account.name, account)


def everything_in(admin: KubeClient, namespace: str, resources: Iterable[Resource]) -> dict[str, str]:
    """Return `kind/name` → resourceVersion of what is in a namespace."""
    return {
        f"{resource.kind}/{obj['metadata']['name']}": obj["metadata"]["resourceVersion"]
        for resource in resources
        for obj in admin.list(resource, namespace)
    }
