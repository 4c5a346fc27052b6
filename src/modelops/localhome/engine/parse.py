"""From a Workflow to what one machine can run. Pure.

Everything in a Workflow is either honoured, or is about where a pod runs (no question here), or is refused by name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelops.workflows.own import LENT
from modelops.workflows.render import RETRY_EXPRESSION

_SPEC: Final = frozenset(
    {
        "entrypoint", "templates", "activeDeadlineSeconds", "ttlStrategy", "podGC", "podMetadata", "securityContext",
        "serviceAccountName", "podPriorityClassName", "nodeSelector", "tolerations", "podSpecPatch", "volumes",
        "shutdown",
    }
)  # fmt: skip
_TEMPLATE: Final = frozenset(
    {"name", "container", "initContainers", "inputs", "outputs", "retryStrategy", "metadata", "podSpecPatch"}
)
_CONTAINER: Final = frozenset(
    {
        "name", "image", "command", "args", "env", "volumeMounts", "terminationMessagePath", "securityContext",
        "resources", "imagePullPolicy",
    }
)  # fmt: skip
_TAG: Final = re.compile(r"\{\{([^{}]*)\}\}")
_DURATION: Final = re.compile(r"^(\d+(?:\.\d+)?)(s|m|h)?$")
_SECONDS: Final = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class UnsupportedLocallyError(Exception):
    """The Workflow asks for something that this engine does not do; the message names it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and when a step is tried again; times in seconds."""

    limit: int = 0
    by_exit_code: bool = False
    """Exit code 64 is not tried again: the input is bad."""
    first: float = 5
    factor: float = 2
    longest: float = 300

    def again(self, exit_code: int | None, failures: int) -> bool:
        """Return whether a step that failed so often, last with this exit code (None: lost), is tried again."""
        if failures > self.limit:
            return False
        return not self.by_exit_code or exit_code != 64

    def delay(self, failures: int) -> float:
        """Return how long to wait before the next try."""
        return min(self.longest, self.first * self.factor ** max(0, failures - 1))


@dataclass(frozen=True, slots=True)
class Container:
    """One program of a pod."""

    name: str
    argv: tuple[str, ...]
    env: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Task:
    """One step of the DAG."""

    name: str
    template: str
    after: tuple[str, ...]
    arguments: Mapping[str, str]
    """Input parameter → text with tags."""
    containers: tuple[Container, ...]
    """The init containers, in order, and the main one last; they share their files, not their environment."""
    outputs: Mapping[str, str]
    """Output parameter → path."""
    message_path: str
    retry: Retry


@dataclass(frozen=True, slots=True)
class Program:
    """What a Workflow comes down to."""

    tasks: tuple[Task, ...]
    deadline: float | None
    """Seconds from its start."""
    ttl: float | None
    """Seconds it is kept after its end."""


def parse(workflow: Mapping[str, Any]) -> Program:
    """Return a Workflow's program.

    Raises:
        UnsupportedLocallyError: something in it cannot be done here.
    """
    spec = workflow["spec"]
    _refuse_unknown("spec", spec, _SPEC)
    for volume in spec.get("volumes") or ():
        if "emptyDir" not in volume:
            raise UnsupportedLocallyError(f"spec.volumes: {volume.get('name')} is no emptyDir")
    templates = {template["name"]: template for template in spec.get("templates") or ()}
    entry = templates.get(spec.get("entrypoint", ""))
    if entry is None or "dag" not in entry:
        raise UnsupportedLocallyError("spec.entrypoint must name a template with a dag")
    tasks = tuple(_task(task, templates) for task in entry["dag"].get("tasks") or ())
    names = {task.name for task in tasks}
    for task in tasks:
        if missing := set(task.after) - names:
            raise UnsupportedLocallyError(
                f"task {task.name} depends on {', '.join(sorted(missing))}, which is not there"
            )
    deadline = spec.get("activeDeadlineSeconds")
    ttl = (spec.get("ttlStrategy") or {}).get("secondsAfterCompletion")
    return Program(_ordered(tasks), None if deadline is None else float(deadline), None if ttl is None else float(ttl))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its tags replaced, once: what a value contains is data.

    Raises:
        UnsupportedLocallyError: a tag has no value.
    """

    def replacement(match: re.Match[str]) -> str:
        name = match[1].strip()
        if name not in values:
            raise UnsupportedLocallyError(f"the tag {{{{{name}}}}} has no value here")
        return values[name]

    return _TAG.sub(replacement, text)


def _task(task: Mapping[str, Any], templates: Mapping[str, Mapping[str, Any]]) -> Task:
    _refuse_unknown(f"task {task['name']}", task, {"name", "template", "dependencies", "arguments"})
    template = templates.get(task["template"])
    if template is None:
        raise UnsupportedLocallyError(f"task {task['name']}: there is no template {task['template']}")
    where = f"template {template['name']}"
    _refuse_unknown(where, template, _TEMPLATE)
    container = template.get("container") or {}
    outputs = {}
    for parameter in (template.get("outputs") or {}).get("parameters") or ():
        outputs[parameter["name"]] = str((parameter.get("valueFrom") or {}).get("path", ""))
    return Task(
        name=task["name"],
        template=task["template"],
        after=tuple(task.get("dependencies") or ()),
        arguments={p["name"]: str(p["value"]) for p in (task.get("arguments") or {}).get("parameters") or ()},
        containers=tuple(_container(where, one) for one in (*(template.get("initContainers") or ()), container)),
        outputs=outputs,
        message_path=container.get("terminationMessagePath") or "/dev/termination-log",
        retry=_retry(where, template.get("retryStrategy")),
    )


def _container(where: str, container: Mapping[str, Any]) -> Container:
    if not container.get("command"):
        raise UnsupportedLocallyError(f"{where}: needs a container with a command; images are not run here")
    if tuple(container["command"]) == LENT:
        raise UnsupportedLocallyError(
            f"image {container.get('image')} is not run on one machine; train from git here (trainer.git) "
            "or on a cluster"
        )
    _refuse_unknown(f"{where}: container", container, _CONTAINER)
    return Container(
        name=str(container.get("name") or "main"),
        argv=tuple(str(word) for word in (*container["command"], *(container.get("args") or ()))),
        env=tuple(container.get("env") or ()),
    )


def _retry(where: str, strategy: Mapping[str, Any] | None) -> Retry:
    if not strategy:
        return Retry()
    expression = strategy.get("expression")
    if expression not in (None, RETRY_EXPRESSION):
        raise UnsupportedLocallyError(f"{where}: this engine does not read the retry expression {expression!r}")
    backoff = strategy.get("backoff") or {}
    return Retry(
        limit=int(strategy.get("limit", 0)),
        by_exit_code=expression is not None,
        first=_duration(backoff.get("duration", "0")),
        factor=float(backoff.get("factor", 1)),
        longest=_duration(backoff.get("maxDuration", "300")),
    )


def _duration(text: str) -> float:
    match = _DURATION.match(str(text))
    if match is None:
        raise UnsupportedLocallyError(f"{text!r} is no duration such as 5s")
    return float(match[1]) * _SECONDS[match[2]]


def _ordered(tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    done: list[Task] = []
    left = list(tasks)
    while left:
        ready = [task for task in left if set(task.after) <= {one.name for one in done}]
        if not ready:
            raise UnsupportedLocallyError(f"the tasks {', '.join(task.name for task in left)} wait for each other")
        done += ready
        left = [task for task in left if task not in ready]
    return tuple(done)


def _refuse_unknown(where: str, found: Mapping[str, Any], known: frozenset[str] | set[str]) -> None:
    unknown = sorted(name for name, value in found.items() if name not in known and value not in (None, [], {}, ""))
    if unknown:
        raise UnsupportedLocallyError(f"{where}: {', '.join(unknown)} is not done on one machine")
