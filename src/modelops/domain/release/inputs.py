"""Whether a version answers all that stable's callers send: what both are asked with, as the registry says. Pure.

The register step writes a model's inputs down as a tag of its version: name → MLflow's type, with a question mark where
a value may be left out. A version without the tag was registered by somebody else, and is not held against anything.
"""

import json
from collections.abc import Mapping
from typing import Final

from modelops.api.v1alpha1.modelrelease_status import RevisionStatus

_TAG: Final = "modelops.inputs"
_NUMBERS: Final = frozenset({"integer", "long", "float", "double"})
"""A caller of one of them may send any of them: in JSON they are all numbers."""


def refusal(
    stable: RevisionStatus, known: Mapping[str, str], candidate: RevisionStatus, tags: Mapping[str, str]
) -> str:
    """Return why a version would refuse a request that stable answers, or nothing.

    Args:
        stable: what serves.
        known: its version's tags.
        candidate: what is to come.
        tags: its version's.
    """
    old, new = _inputs(known), _inputs(tags)
    if old is None or new is None:
        return ""
    who = f"version {candidate.version}"
    for name, kind in old.items():
        if name not in new:
            return f"{who} does not take the input {name}, which version {stable.version} takes"
        if _kind(new[name]) != _kind(kind):
            return f"{who} takes {name} as {_kind(new[name])}, and version {stable.version} as {_kind(kind)}"
        if _is_needed(new[name]) and not _is_needed(kind):
            return f"{who} needs the input {name}, which may be left out for version {stable.version}"
    for name, kind in new.items():
        if name not in old and _is_needed(kind):
            return f"{who} needs the input {name}, which version {stable.version} does not know"
    return ""


def _inputs(tags: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return what a tag says; None where it says nothing, or nothing that can be read."""
    try:
        found = json.loads(tags.get(_TAG, ""))
    except ValueError:
        return None
    readable = isinstance(found, dict) and all(isinstance(kind, str) for kind in found.values())
    return found if readable else None


def _kind(text: str) -> str:
    kind = text.removesuffix("?")
    return "number" if kind in _NUMBERS else kind


def _is_needed(text: str) -> bool:
    return not text.endswith("?")
