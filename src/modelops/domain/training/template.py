"""Whether a team's WorkflowTemplate can train: what our Workflow gives it, and what it may not count on. Pure.

It is run by reference, so Argo merges nothing of its spec but the templates: no volumes, no arguments. What would only
fail in Argo's controller, in words about templates and not about training, is said here.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelops.errors import Stalled
from modelops.workflows.own import GIVEN, MOUNTED, VOLUME

_GLOBAL: Final = re.compile(r"\{\{=?\s*workflow\.parameters\b")


@dataclass(frozen=True, slots=True)
class Template:
    """A WorkflowTemplate that can train."""

    name: str
    entrypoint: str
    digest: str
    """`sha256:` over its spec."""


def template_of(obj: Mapping[str, Any]) -> Template:
    """Return a WorkflowTemplate as what trains.

    Raises:
        Stalled: it does not fit the contract; one line says how to mend it.
    """
    spec = obj.get("spec") or {}
    name, entrypoint = obj["metadata"]["name"], str(spec.get("entrypoint") or "")
    templates = {template.get("name"): template for template in spec.get("templates") or ()}
    for problem in _problems(entrypoint, templates):
        raise Stalled("WorkflowTemplateUnfit", f"WorkflowTemplate {name}: {problem}")
    canonical = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Template(name, entrypoint, "sha256:" + hashlib.sha256(canonical.encode()).hexdigest())


def _problems(entrypoint: str, templates: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if entrypoint not in templates:
        yield "spec.entrypoint names none of its templates; set it to the one that trains"
        return
    yield from _wrong_inputs(entrypoint, templates[entrypoint].get("inputs") or {})
    whole = json.dumps(list(templates.values()))
    if _GLOBAL.search(whole):
        yield "it uses workflow.parameters, which are the calling Workflow's; use inputs.parameters with defaults"
    mounts = [(name, template, mount) for name, template in templates.items() for mount in _mounts(template)]
    for name, template, mount in mounts:
        if mount.get("name") not in {VOLUME, *(volume.get("name") for volume in template.get("volumes") or ())}:
            yield f"template {name} mounts {mount.get('name')}, which is not among the template's own volumes"
    shared = {str(mount.get("mountPath")).rstrip("/") for _, _, mount in mounts if mount.get("name") == VOLUME}
    if MOUNTED not in shared and "templateRef" not in whole:
        yield f"no template mounts the volume {VOLUME} at {MOUNTED}, by which files come and go; mount it"


def _wrong_inputs(entrypoint: str, inputs: Mapping[str, Any]) -> Iterator[str]:
    parameters = {one["name"]: one for one in inputs.get("parameters") or ()}
    if missing := [name for name in GIVEN if name not in parameters]:
        yield f"template {entrypoint} has no input parameter {' and no '.join(missing)}; declare them, and use them"
    for name, parameter in parameters.items():
        if name not in GIVEN and "value" not in parameter and "default" not in parameter:
            yield f"template {entrypoint} wants parameter {name}, which modelops does not give; give it a default"
    for artifact in inputs.get("artifacts") or ():
        yield f"template {entrypoint} wants artifact {artifact.get('name')}; files come by the volume {VOLUME}"


def _mounts(template: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    grouped = template.get("containerSet") or {}
    yield from grouped.get("volumeMounts") or ()
    singles = (template.get("container") or {}, template.get("script") or {})
    others = (template.get("initContainers") or (), template.get("sidecars") or (), grouped.get("containers") or ())
    for container in (*singles, *(one for group in others for one in group)):
        yield from container.get("volumeMounts") or ()
