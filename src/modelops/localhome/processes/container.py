"""From a pod template to what one local process needs. Pure.

Only what one process can honour is taken; anything else is refused by name, so that a template never runs as less
than it says without a word.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_REFERENCE: Final = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_IGNORED: Final = frozenset(
    {
        "affinity", "automountServiceAccountToken", "containers", "dnsPolicy", "enableServiceLinks",
        "imagePullSecrets", "initContainers", "nodeSelector", "priorityClassName", "restartPolicy",
        "runtimeClassName", "schedulerName", "securityContext", "serviceAccount", "serviceAccountName",
        "terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints", "volumes",
    }
)  # fmt: skip
"""Fields of a pod that are read here, or that say where or as whom it runs, which is no question on one machine."""


class UnsupportedLocallyError(Exception):
    """The template asks for something that a process on this machine cannot be given."""


@dataclass(frozen=True, slots=True)
class Probe:
    """An HTTP probe; times in seconds."""

    path: str
    initial_delay: float = 0
    period: float = 10
    timeout: float = 1
    success: int = 1
    failure: int = 3


@dataclass(frozen=True, slots=True)
class Program:
    """One program and its environment."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Command:
    """What to start and how to ask it how it is."""

    main: Program
    init: tuple[Program, ...]
    """Run to their end, one after another, before `main` starts for the first time."""
    volumes: tuple[Path, ...]
    """Directories that are made for it, and go with it."""
    readiness: Probe | None
    liveness: Probe | None
    startup: Probe | None
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What this machine gives to a replica."""

    port: int
    """The container finds it in $PORT."""
    directory: Path
    """Its volumes lie below."""
    value: Callable[[str, str, str], str | None]
    """(kind, name, key) → value of a Secret or ConfigMap, or None."""


def command_of(template: Mapping[str, Any], given: Surroundings) -> Command:
    """Return what a pod template comes down to: its container, and the init containers before it.

    A process has no mounts of its own. So a variable whose value is the path of a mounted emptyDir, or below it, gets
    the path of the directory that stands in for it here; a template that names such paths through variables, as
    `$(MODEL_DIR)`, runs in both homes.

    Args:
        template: a core/v1 PodTemplateSpec.
        given: what this machine gives to the replica.

    Raises:
        UnsupportedLocallyError: something in it cannot be had here; the message names it.
    """
    pod = template.get("spec") or {}
    containers: list[Mapping[str, Any]] = list(pod.get("containers") or ())
    if len(containers) != 1:
        raise UnsupportedLocallyError(f"{len(containers)} containers; on one machine a pod has exactly one")
    for name, value in pod.items():
        if name not in _IGNORED and value not in (None, [], {}, ""):
            raise UnsupportedLocallyError(f"spec.{name} cannot be had on one machine; leave it out here")
    volumes = {}
    for volume in pod.get("volumes") or ():
        if "emptyDir" not in volume:
            raise UnsupportedLocallyError(
                f"spec.volumes: volume {volume['name']} is no emptyDir, and others cannot be had on one machine"
            )
        volumes[volume["name"]] = given.directory / volume["name"]
    container = containers[0]
    return Command(
        main=_program(container, given, volumes),
        init=tuple(_program(init, given, volumes) for init in pod.get("initContainers") or ()),
        volumes=tuple(volumes.values()),
        readiness=_probe(container, "readinessProbe"),
        liveness=_probe(container, "livenessProbe"),
        startup=_probe(container, "startupProbe"),
        grace_seconds=float(pod.get("terminationGracePeriodSeconds") or 30),
    )


def _program(container: Mapping[str, Any], given: Surroundings, volumes: Mapping[str, Path]) -> Program:
    name = str(container.get("name") or "container")
    if not container.get("command"):
        raise UnsupportedLocallyError(f"container {name} has no command; images are not run here, so name the program")
    mounts = {
        mount["mountPath"].rstrip("/"): volumes.get(mount["name"]) for mount in container.get("volumeMounts") or ()
    }
    for path, directory in mounts.items():
        if directory is None:
            raise UnsupportedLocallyError(f"container {name} mounts at {path} a volume that spec.volumes does not have")
    env = _environment(container, given, {path: str(directory) for path, directory in mounts.items()})
    words = [*container["command"], *(container.get("args") or ())]
    return Program(name, tuple(_expand(str(word), env) for word in words), env)


def _environment(container: Mapping[str, Any], given: Surroundings, mounts: Mapping[str, str]) -> dict[str, str]:
    # These are this machine's to say, wherever the template puts them: others refer to them.
    fixed = {"PORT": str(given.port), "HOST": "127.0.0.1"}
    env: dict[str, str] = {}
    for entry in container.get("env") or ():
        name = entry["name"]
        if name in fixed:
            env[name] = fixed[name]
            continue
        if "valueFrom" not in entry:
            env[name] = _here(_expand(str(entry.get("value", "")), env), mounts)
            continue
        value = _from(entry["valueFrom"], given.value)
        if value is not None:
            env[name] = value
    if container.get("envFrom"):
        raise UnsupportedLocallyError("envFrom is not read; name the variables")
    return env | fixed


def _here(value: str, mounts: Mapping[str, str]) -> str:
    """Return a path below a mount as it is on this machine; any other value as it is."""
    for path, directory in mounts.items():
        if value == path or value.startswith(f"{path}/"):
            return directory + value.removeprefix(path)
    return value


def _from(source: Mapping[str, Any], secret: Callable[[str, str, str], str | None]) -> str | None:
    for kind, field in (("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")):
        if field in source:
            reference = source[field]
            value = secret(kind, reference["name"], reference["key"])
            if value is None and not reference.get("optional"):
                raise UnsupportedLocallyError(f"{kind} {reference['name']} has no key {reference['key']}")
            return value
    raise UnsupportedLocallyError(f"valueFrom {', '.join(source)} cannot be had on one machine")


def _expand(text: str, env: Mapping[str, str]) -> str:
    """Expand `$(NAME)` as Kubernetes does: unknown names stay, `$$` is one dollar."""

    def replacement(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else env.get(match[1], match[0])

    return _REFERENCE.sub(replacement, text)


def _probe(container: Mapping[str, Any], name: str) -> Probe | None:
    probe = container.get(name)
    if not probe:
        return None
    if "httpGet" not in probe:
        raise UnsupportedLocallyError(f"{name} must be httpGet on one machine")
    return Probe(
        path=probe["httpGet"].get("path") or "/",
        initial_delay=float(probe.get("initialDelaySeconds") or 0),
        period=float(probe.get("periodSeconds") or 10),
        timeout=float(probe.get("timeoutSeconds") or 1),
        success=int(probe.get("successThreshold") or 1),
        failure=int(probe.get("failureThreshold") or 3),
    )
