"""What the bench has to know of a contender: its objects, and how to read weights and outcomes from them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.verdicts.scenarios import Outcome
from modelops.api.kinds import Resource

Obj = Mapping[str, Any]

WEIGHTS: Final = (20, 50)
"""Percent, before all."""
LOOKS: Final = 3
"""At each of them."""
SHARE: Final = 0.1
"""The largest share of failed requests that is good."""
LATENCY: Final = 0.5
"""The largest 99th percentile that is good. Seconds."""
RATIO: Final = 1.1
"""How many times stable's share of failed requests the canary's may be."""
TOLERATED: Final = 1
"""Failing looks."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a contender is to work."""

    directory: Path
    kubeconfig: Path
    prometheus: str
    """Base address."""
    interval: float
    """Seconds between two looks."""

    @property
    def every(self) -> str:
        """The interval as Kubernetes writes it."""
        return f"{self.interval:g}s"


@dataclass(frozen=True, slots=True)
class Contender:
    """A controller with one configuration; its objects are in the namespace of its name, called as the scenario."""

    name: str
    title: str
    kind: Resource
    """Of the object that says what became of a canary."""
    route: Resource
    """Of the object that steers the traffic."""
    objects: Callable[[str, Setting], Iterator[tuple[Resource, dict[str, Any]]]]
    """Everything that one scenario needs, of the first version."""
    change: tuple[Resource, dict[str, Any]]
    """Of which object what makes it the second version."""
    serving: Callable[[Obj], str]
    """Which revision of the first version serves; empty before it does."""
    weight: Callable[[Obj, str], int | None]
    """The canary's percent in a route, given stable's revision; None: not of a canary."""
    outcome: Callable[[Obj, str], Outcome | None]
    """What became of the canary, given stable's revision; None before its end."""
    running: Callable[[Setting], AbstractContextManager[None]]
    """Its controller as a process; those of one program and one cluster share it."""
    crds: Callable[[], Iterator[dict[str, Any]]] = lambda: iter(())
    shortest: float = 1
    """Seconds: the shortest interval that it takes."""


def meta(namespace: str, name: str) -> dict[str, str]:
    return {"namespace": namespace, "name": name}


def pods(name: str, version: str) -> dict[str, Any]:
    """Return a pod template that nobody runs."""
    container = {"name": "server", "image": f"example.com/server:{version}", "ports": [{"containerPort": 8080}]}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}


def service(namespace: str, name: str, app: str) -> dict[str, Any]:
    return {"metadata": meta(namespace, name), "spec": {"selector": {"app": app}, "ports": [{"port": 80}]}}
