"""Which resources the server answers for: the CustomResourceDefinitions it was given and the built-in ones.

The built-in ones are described in `builtin.yaml` in the same form as CustomResourceDefinitions, so that validation,
apply and printing know only one form. Used by every other part; holds no objects.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, NamedTuple

import yaml

from modelops.localhome.apiserver import rules
from modelops.localhome.apiserver.answers import Obj

CRD_GROUP = "apiextensions.k8s.io"
NO_GENERATION = frozenset(
    {"secrets", "configmaps", "namespaces", "events", "leases", "services", "controllerrevisions"}
)
"""Built-in resources whose objects carry no metadata.generation."""


class Key(NamedTuple):
    """A resource without its version: one object has one home whatever version a client speaks."""

    group: str
    plural: str


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One served resource."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    custom: bool
    """True for a CustomResourceDefinition, False for what Kubernetes builds in."""
    schema: Obj
    """The openAPIV3Schema of the whole object."""
    status: bool = False
    """Whether there is a status subresource."""
    scale: Obj = field(default_factory=dict)
    """The paths of the scale subresource; empty without one."""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Obj, ...] = ()
    field_labels: tuple[str, ...] = field(default=())

    @property
    def key(self) -> Key:
        """The group and plural."""
        return Key(self.group, self.plural)

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def has_generation(self) -> bool:
        """Whether objects count the changes of their spec."""
        return self.custom or self.plural not in NO_GENERATION

    def resource(self) -> str:
        """Return `plural.group` as messages print it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def from_definition(crd: Obj, *, custom: bool = True) -> Iterator[ResourceType]:
    """Yield a resource for each served version of a CustomResourceDefinition."""
    spec = crd["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        if not version.get("served", True):
            continue
        yield ResourceType(
            group=spec["group"],
            version=version["name"],
            kind=names["kind"],
            plural=names["plural"],
            singular=names.get("singular") or names["kind"].lower(),
            namespaced=spec.get("scope", "Namespaced") == "Namespaced",
            custom=custom,
            schema=rules.marked(
                (version.get("schema") or {}).get("openAPIV3Schema")
                or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
            ),
            status="status" in (version.get("subresources") or {}),
            scale=(version.get("subresources") or {}).get("scale") or {},
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            columns=tuple(version.get("additionalPrinterColumns") or ()),
            field_labels=tuple(item["jsonPath"].lstrip(".") for item in version.get("selectableFields") or ())
            if custom
            else tuple(spec.get("fieldLabels") or ()),
        )


class Catalogue:
    """The resources that are served at the moment."""

    def __init__(self, definitions: Iterable[Obj] = ()) -> None:
        self._types: dict[tuple[str, str, str], ResourceType] = {}
        text = files(__package__).joinpath("builtin.yaml").read_text(encoding="utf-8")
        for document in yaml.load_all(text, Loader=yaml.CSafeLoader):
            self._add(from_definition(_abbreviated(document), custom=False))
        for crd in definitions:
            self.define(crd)

    def _add(self, types: Iterable[ResourceType]) -> None:
        for resource in types:
            self._types[resource.group, resource.version, resource.plural] = resource

    def define(self, crd: Obj) -> None:
        """Serve what a CustomResourceDefinition defines, in place of what it defined before."""
        self.undefine(crd)
        self._add(from_definition(crd))

    def undefine(self, crd: Obj) -> None:
        """Serve the resource of a CustomResourceDefinition no longer."""
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        for identity in [key for key in self._types if (key[0], key[2]) == (group, plural)]:
            del self._types[identity]

    def find(self, group: str, version: str, plural: str) -> ResourceType | None:
        """Return a resource or None."""
        return self._types.get((group, version, plural))

    def any_version(self, key: Key) -> ResourceType | None:
        """Return some version of a resource, or None."""
        return next((kind for kind in self._types.values() if kind.key == key), None)

    def __iter__(self) -> Iterator[ResourceType]:
        return iter(self._types.values())

    def group_versions(self) -> dict[str, list[str]]:
        """Return the versions of each group, in the order in which they were defined."""
        found: dict[str, list[str]] = {}
        for group, version, _ in self._types:
            versions = found.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        return found


def _abbreviated(entry: dict[str, Any]) -> Obj:
    """Return the definition that an entry of `builtin.yaml` stands for; its schema may be left out."""
    version: Obj = {
        "name": entry["version"],
        "schema": {"openAPIV3Schema": entry.get("schema")},
        "additionalPrinterColumns": entry.get("columns"),
    }
    if entry.get("status"):
        version["subresources"] = {"status": {}}
    return {
        "spec": {
            "group": entry.get("group", ""),
            "scope": entry.get("scope", "Namespaced"),
            "names": {name: entry[name] for name in ("kind", "plural", "shortNames", "categories") if name in entry},
            "fieldLabels": entry.get("fieldLabels"),
            "versions": [version],
        }
    }
