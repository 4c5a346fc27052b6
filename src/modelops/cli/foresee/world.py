"""What a foresight looks at: the objects as they are and as they would be, and words for fields. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelops.api.v1alpha1.computepool import ComputePoolSpec
from modelops.cli.compare import Field

Obj = Mapping[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace, name."""


@dataclass(frozen=True, slots=True)
class World:
    """The objects that decisions look at."""

    before: Mapping[Key, Obj]
    after: Mapping[Key, Obj]
    """With what is planned; every object that stays is here too."""
    pools: Mapping[str, ComputePoolSpec] | None
    """None where they may not be read."""
    fallback: str | None
    """The pool that stands in for unknown ones in a local home."""


def what(fields: Sequence[Field]) -> str:
    """Return the parts of the spec that differ: `spec.compute, spec.strategy`."""
    parts = dict.fromkeys(".".join(field.path.split(".")[:2]).partition("[")[0] for field in fields)
    return ", ".join(parts)
