"""Discovery: which groups, versions and resources there are. Pure."""

from typing import Any

from modelops.localhome.apiserver.answers import Obj
from modelops.localhome.apiserver.resources import Catalogue, ResourceType

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
REVIEWS = {
    "selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "selfsubjectrulesreviews": "SelfSubjectRulesReview",
}
"""Resources of authorization.k8s.io/v1 that are only posted; whoever has the token may do everything."""


def api_versions(host: str) -> Obj:
    """Return `/api`."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def _group(name: str, versions: list[str]) -> Obj:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def groups(catalogue: Catalogue) -> Obj:
    """Return `/apis`."""
    found = {group: versions for group, versions in catalogue.group_versions().items() if group}
    found["authorization.k8s.io"] = ["v1"]
    listed = [_group(name, versions) for name, versions in found.items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def group(catalogue: Catalogue, name: str) -> Obj | None:
    """Return `/apis/NAME`, or None."""
    for found in groups(catalogue)["groups"]:
        if found["name"] == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **found}
    return None


def _resource(kind: ResourceType) -> list[Obj]:
    told: Obj = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": VERBS,
    }
    if kind.short_names:
        told["shortNames"] = list(kind.short_names)
    if kind.categories:
        told["categories"] = list(kind.categories)
    found = [told]
    sub: Obj = {"singularName": "", "namespaced": kind.namespaced, "verbs": ["get", "patch", "update"]}
    if kind.status:
        found.append({**sub, "name": f"{kind.plural}/status", "kind": kind.kind})
    if kind.scale:
        scale = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        found.append({**sub, "name": f"{kind.plural}/scale", **scale})
    return found


def resources(catalogue: Catalogue, group_name: str, version: str) -> Obj | None:
    """Return the APIResourceList of a group and version, or None."""
    listed: list[Any] = []
    for kind in catalogue:
        if (kind.group, kind.version) == (group_name, version):
            listed += _resource(kind)
    if (group_name, version) == ("authorization.k8s.io", "v1"):
        listed = [
            {"name": plural, "singularName": kind.lower(), "namespaced": False, "kind": kind, "verbs": ["create"]}
            for plural, kind in REVIEWS.items()
        ]
    if not listed:
        return None
    group_version = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": listed}
