"""From a pod template to what one local process needs. Pure.

Only what one process can honour is taken; anything else is refused by name, so that a template never runs as less
than it says without a word.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_REFERENCE: Final = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_IGNORED: Final = frozenset(
    {
        "affinity", "automountServiceAccountToken", "containers", "dnsPolicy", "enableServiceLinks", "nodeSelector",
        "priorityClassName", "restartPolicy", "runtimeClassName", "schedulerName", "securityContext",
        "serviceAccount", "serviceAccountName", "terminationGracePeriodSeconds", "tolerations",
        "topologySpreadConstraints", "imagePullSecrets",
    }
)  # fmt: skip
"""Fields of a pod that say where or as whom it runs, which is no question on one machine."""


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
class Command:
    """What to start and how to ask it how it is."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    readiness: Probe | None
    liveness: Probe | None
    startup: Probe | None
    grace_seconds: float


def command_of(template: Mapping[str, Any], port: int, secret: Callable[[str, str, str], str | None]) -> Command:
    """Return what the first container of a pod template comes down to.

    Args:
        template: a core/v1 PodTemplateSpec.
        port: the port given to this replica; the container finds it in $PORT.
        secret: (kind, name, key) → value of a Secret or ConfigMap, or None.

    Raises:
        UnsupportedLocallyError: something in it cannot be had here; the message names it.
    """
    pod = template.get("spec") or {}
    containers: list[Mapping[str, Any]] = list(pod.get("containers") or ())
    if len(containers) != 1:
        raise UnsupportedLocallyError(f"{len(containers)} containers; on one machine a pod has exactly one")
    for name, value in pod.items():
        if name not in _IGNORED and value not in (None, [], {}, ""):
            if name == "volumes" and all("emptyDir" in volume for volume in value):
                continue
            raise UnsupportedLocallyError(f"spec.{name} cannot be had on one machine; leave it out here")
    container = containers[0]
    if not container.get("command"):
        raise UnsupportedLocallyError("the container has no command; images are not run here, so name the program")
    env = _environment(container, port, secret)
    words = [*container["command"], *(container.get("args") or ())]
    return Command(
        argv=tuple(_expand(str(word), env) for word in words),
        env=env,
        readiness=_probe(container, "readinessProbe"),
        liveness=_probe(container, "livenessProbe"),
        startup=_probe(container, "startupProbe"),
        grace_seconds=float(pod.get("terminationGracePeriodSeconds") or 30),
    )


def _environment(
    container: Mapping[str, Any], port: int, secret: Callable[[str, str, str], str | None]
) -> dict[str, str]:
    env: dict[str, str] = {}
    for entry in container.get("env") or ():
        name = entry["name"]
        if "valueFrom" not in entry:
            env[name] = _expand(str(entry.get("value", "")), env)
            continue
        value = _from(entry["valueFrom"], secret)
        if value is not None:
            env[name] = value
    if container.get("envFrom"):
        raise UnsupportedLocallyError("envFrom is not read; name the variables")
    env["PORT"] = str(port)
    return env


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
