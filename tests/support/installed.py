"""modelops as it is installed: CRDs, its roles, and the operator's process with its service account's token."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import HTTPROUTE, KINDS, NAMESPACE, SERVICEACCOUNT, WORKFLOW, Resource
from tests.support.kube_apiserver import KubeApiServer, kubeconfig
from tests.support.operators import CRD, ROLE, ROLEBINDING, Replicas, open_crd, served, until

ROOT = Path(__file__).parents[2]
OPERATOR = ServiceAccount("modelops-system", "modelops")
_RBAC = "rbac.authorization.k8s.io"
CLUSTERROLE = Resource(_RBAC, "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTERROLEBINDING = Resource(_RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False)
INSTALLED = {one.kind: one for one in (NAMESPACE, SERVICEACCOUNT, ROLE, ROLEBINDING, CLUSTERROLE, CLUSTERROLEBINDING)}
_PATIENCE = 60.0


def install(server: KubeApiServer) -> KubeClient:
    """Install definitions and roles; return an administrator's client."""
    path = server.directory / "admin.kubeconfig"
    path.write_text(kubeconfig(server.url, server.token))
    admin = KubeClient.from_kubeconfig(str(path))
    for definition in (ROOT / "crds").glob("*.yaml"):
        admin.apply(CRD, yaml.safe_load(definition.read_text()))
    for resource in (WORKFLOW, HTTPROUTE):
        admin.apply(CRD, open_crd(resource))
    for obj in yaml.safe_load_all((ROOT / "operator" / "rbac.yaml").read_text()):
        admin.apply(INSTALLED[obj["kind"]], obj)
    for resource in (*(kind.resource for kind in KINDS), WORKFLOW, HTTPROUTE):
        until(lambda resource=resource: served(admin, resource), _PATIENCE, f"{resource.plural} are served")
        # A new resource reaches the schemas that apply needs a moment after it is served.
        schemas = f"apis/{resource.group}/{resource.version}"
        until(lambda schemas=schemas: schemas in _schemas(admin), _PATIENCE, f"{schemas} has schemas")
    return admin


def _schemas(admin: KubeClient) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (admin.request("GET", "/openapi/v3") or {})["paths"]
    return found


def token_of(admin: KubeClient, account: ServiceAccount) -> str:
    """Return a token that the API server made for an account."""
    path = f"/api/v1/namespaces/{account.namespace}/serviceaccounts/{account.name}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    answer = admin.request("POST", path, body=body)
    assert answer is not None
    return str(answer["status"]["token"])


def operator(admin: KubeClient, server: KubeApiServer, **settings: str) -> Replicas:
    """Return operators, none started, that the API server knows as modelops' service account and as nobody else."""
    path = server.directory / "operator.kubeconfig"
    path.write_text(kubeconfig(server.url, token_of(admin, OPERATOR)))
    return Replicas(server.directory, path, {"MODELOPS_LEASE_NAMESPACE": OPERATOR.namespace, **settings})


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
    name = f"{account.name}-granted"
    admin.apply(ROLE, {"metadata": {"name": name, "namespace": account.namespace}, "rules": written})
    bind(admin, account.namespace, name, name, account)


def everything_in(admin: KubeClient, namespace: str, resources: Iterable[Resource]) -> dict[str, str]:
    """Return `kind/name` → resourceVersion of what is in a namespace."""
    return {
        f"{resource.kind}/{obj['metadata']['name']}": obj["metadata"]["resourceVersion"]
        for resource in resources
        for obj in admin.list(resource, namespace)
    }
