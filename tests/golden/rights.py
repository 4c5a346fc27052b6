"""What the API server lets modelops do, written to rights.txt: `python -m tests.golden.rights` (needs kube-apiserver).

As `kubectl auth can-i --list` shows it, asked with the token of each account. What everybody who is logged in may do is
left out.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from modelops.adapters.cluster import KubeClient
from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import NAMESPACE, SERVICEACCOUNT
from tests.golden import chart
from tests.support.installed import CLUSTERROLE, INSTALLED, OPERATOR, bind, install, token_of
from tests.support.kube_apiserver import KubeApiServer, kubeconfig

GOLDEN = Path(__file__).parent / "rights.txt"
EVERYWHERE = "the operator, in every namespace"
ITS_OWN = "the operator, besides, in modelops-system"
LET = "the operator, besides, in a namespace that lets it act as its accounts (modelops-impersonator)"
TENANT = "a tenant's account, in its namespace (modelops-tenant)"
ALONE = "the operator of one-namespace.values.yaml, in its namespace"
ALONE_ELSEWHERE = "the operator of one-namespace.values.yaml, in every other namespace"
SPARING = "the operator of tenants.values.yaml, in every namespace"
SPARING_LET = "the operator of tenants.values.yaml, besides, in a tenant's namespace"
Rights = dict[str, set[str]]
"""Resource with its group and subresource → verbs."""


def asked(server: KubeApiServer, admin: KubeClient) -> dict[str, Rights]:
    """Return title → rights, asked of an API server with modelops' roles."""
    tenant, nobody = ServiceAccount("tenant", "sync"), ServiceAccount("elsewhere", "nobody")
    for account in (tenant, nobody):
        admin.apply(NAMESPACE, {"metadata": {"name": account.namespace}})
        admin.apply(SERVICEACCOUNT, {"metadata": {"name": account.name, "namespace": account.namespace}})
    bind(admin, tenant.namespace, tenant.name, "modelops-tenant", tenant, "ClusterRole")
    bind(admin, tenant.namespace, "modelops-impersonator", "modelops-impersonator", OPERATOR, "ClusterRole")
    everybody = _rules(server, admin, nobody, nobody.namespace)
    everywhere = _without(_rules(server, admin, OPERATOR, nobody.namespace), everybody)
    known = _joined(everybody, everywhere)
    alone, sparing = (_by_chart(admin, name) for name in ("one-namespace", "tenants"))
    spared = _without(_rules(server, admin, sparing, nobody.namespace), everybody)
    return {
        EVERYWHERE: everywhere,
        ITS_OWN: _without(_rules(server, admin, OPERATOR, OPERATOR.namespace), known),
        LET: _without(_rules(server, admin, OPERATOR, tenant.namespace), known),
        TENANT: _without(_rules(server, admin, tenant, tenant.namespace), everybody),
        ALONE: _without(_rules(server, admin, alone, _by_itself("pricing", "one-namespace")), everybody),
        ALONE_ELSEWHERE: _without(_rules(server, admin, alone, nobody.namespace), everybody),
        SPARING: spared,
        SPARING_LET: _without(
            _rules(server, admin, sparing, _by_itself("vision", "tenants")), _joined(everybody, spared)
        ),
    }


def text_of(rights: Mapping[str, Rights]) -> str:
    """Return the golden text."""
    parts = ["# Written by `python -m tests.golden.rights`; what everybody who is logged in may do is left out.\n"]
    for title, granted in rights.items():
        lines = [f"{resource:<43} {' '.join(sorted(verbs))}\n" for resource, verbs in sorted(granted.items())]
        parts.append(f"\n# {title}\n{''.join(lines)}")
    return "".join(parts)


def committed() -> dict[str, Rights]:
    """Return what the golden text says."""
    found: dict[str, Rights] = {}
    title = ""
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            title = line.removeprefix("# ")
        elif line:
            resource, *verbs = line.split()
            found.setdefault(title, {})[resource] = set(verbs)
    return found


def _by_itself(namespace: str, name: str) -> str:
    """Return a tenant's namespace under a name that no other test of the cluster has; the operator's stays."""
    return namespace if namespace == OPERATOR.namespace else f"{namespace}-{name}"


def _by_chart(admin: KubeClient, name: str) -> ServiceAccount:
    """Give an account the rights of the operator that the chart makes of a golden set of values, under other names."""
    account = ServiceAccount(OPERATOR.namespace, name)
    admin.apply(SERVICEACCOUNT, {"metadata": {"name": name, "namespace": account.namespace}})
    for obj in yaml.safe_load_all((chart.ROOT / f"{name}.yaml").read_text(encoding="utf-8")):
        if obj is None or obj.get("apiVersion") != CLUSTERROLE.api_version:
            continue
        obj["metadata"]["name"] += f"-{name}"
        if "namespace" in obj["metadata"]:
            obj["metadata"]["namespace"] = _by_itself(obj["metadata"]["namespace"], name)
            admin.apply(NAMESPACE, {"metadata": {"name": obj["metadata"]["namespace"]}})
        if "roleRef" in obj:
            obj["roleRef"]["name"] += f"-{name}"
            for subject in obj["subjects"]:
                subject["name"] = name if subject["name"] == OPERATOR.name else subject["name"]
        admin.apply(INSTALLED[obj["kind"]], obj)
    return account


def _rules(server: KubeApiServer, admin: KubeClient, account: ServiceAccount, namespace: str) -> Rights:
    path = server.directory / f"{account.namespace}-{account.name}.kubeconfig"
    path.write_text(kubeconfig(server.url, token_of(admin, account)))
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    review = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    answer = KubeClient.from_kubeconfig(str(path)).request("POST", review, body=body)
    assert answer is not None
    assert not answer["status"]["incomplete"], answer["status"]
    rights: Rights = defaultdict(set)
    for rule in answer["status"]["resourceRules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                rights[_named(resource, group, rule)] |= set(rule["verbs"])
    return rights


def _named(resource: str, group: str, rule: Mapping[str, Any]) -> str:
    plural, slash, subresource = resource.partition("/")
    names = f"[{','.join(rule['resourceNames'])}]" if rule.get("resourceNames") else ""
    return f"{plural}{'.' if group else ''}{group}{slash}{subresource}{names}"


def _without(rights: Rights, others: Rights) -> Rights:
    left = {resource: verbs - others.get(resource, set()) for resource, verbs in rights.items()}
    return {resource: verbs for resource, verbs in left.items() if verbs}


def _joined(left: Rights, right: Rights) -> Rights:
    return {resource: left.get(resource, set()) | right.get(resource, set()) for resource in {*left, *right}}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        running = KubeApiServer(Path(directory)).start()
        try:
            GOLDEN.write_text(text_of(asked(running, install(running))), encoding="utf-8")
        finally:
            running.stop()
    sys.stdout.write(f"{GOLDEN}\n")
