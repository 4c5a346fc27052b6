"""What may happen to a release; each is one step of a walk: it happens, then the release is reconciled once.

Answers of Prometheus, time, commands, new versions and specs, servers and gateway that do not keep up, an API server
or a registry that fails, and a kill -9 before any of the writes. Each of the operator's processes knows nothing of the
one before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelops.errors import Conflict, ModelopsError, Transient
from modelops.ports import Answer
from tests.walk import drawn, figures, promises
from tests.walk.drawn import Draw, among, mostly, rarely
from tests.walk.release import Release


@dataclass(frozen=True, slots=True)
class Happening:
    """One of them; called, it takes the step, and a promise that the step breaks is an AssertionError."""

    does: Callable[..., None]
    given: Mapping[str, Draw]
    """What draws each of its arguments."""
    placing: str | None = None
    """How servers and weights belong together where it happens; None is any way."""

    @property
    def name(self) -> str:
        return self.does.__name__

    def __call__(self, release: Release, **given: Any) -> None:
        release.word = ""
        self.does(release, **given)
        release.step()
        promises.are_kept(release)


def happening(*, placing: str | None = None, **given: Draw) -> Callable[[Callable[..., None]], Happening]:
    """Make a function of the release one of what may happen."""
    return lambda does: Happening(does, given, placing)


BEGINNING: Final[Mapping[str, Draw]] = {
    "placing": among("gateway", *drawn.PLACING),
    "strategy": drawn.strategy,
    "metrics": drawn.metrics,
    "smoke_test": drawn.smoke_test,
    "replicas": among(1, 2, 3),
    "answer": among(figures.WELL, figures.WELL, figures.WELL, (0.99, 3), (None, None)),
}
"""What draws the arguments of `begin`."""


def begin(release: Release, **given: Any) -> None:
    """Let version 1 serve."""
    release.begin(**given)
    promises.are_kept(release)


@happening(number=among(0, 1), answer=among(*drawn.ANSWERS), of_stable=rarely)
def prometheus_answers(release: Release, number: int, answer: figures.Answer, of_stable: bool) -> None:
    """Of one metric something else from now on."""
    found = release.figures
    (found.stables if of_stable else found.canarys)[number] = answer


@happening(requests=among(None, None, 0, 0, 5, 25, 60, 100, 300), placing="gateway")
def gateway_sends(release: Release, requests: int | None) -> None:
    """It counts 100 requests of stable at each look from now on, and so many of the canary; None: as weighted."""
    release.figures.sent = requests


@happening(seconds=among(10, 20, 5, 0, 1, 10, 10, 20, 60, 600))
def time_passes(release: Release, seconds: int) -> None:
    release.wait(seconds)


@happening(seconds=among(5, 3600))
def clock_is_set_back(release: Release, seconds: int) -> None:
    release.world.clock.advance(seconds=-seconds)


@happening(verb=among(*drawn.VERBS), which=among(*range(12)))
def human_says(release: Release, verb: str, which: int) -> None:
    """About the canary, or one of the revisions that the history knows."""
    status = release.status
    known = sorted({record["revision"] for record in status.get("history", ())})
    more: dict[str, Any] = {}
    if verb in ("undo", "retry") and known:
        more["revision"] = known[which % len(known)]
    release.word = verb
    if verb == "full":
        verb, more = "promote", {"full": True}
    release.world.command(verb, **more)


@happening(new=mostly, meanwhile=rarely)
def version_is_trained(release: Release, new: bool, meanwhile: bool) -> None:
    """A new one, or one whose artifact is that of the first; if not meanwhile, only where no other is on its way."""
    if release.status.get("canary") and not meanwhile:
        return
    release.version += 1
    release.world.train(str(release.version), digest=None if new else "sha256:1")


@happening(strategy=drawn.strategy, metrics=drawn.metrics, smoke_test=drawn.smoke_test)
def spec_changes(
    release: Release, strategy: dict[str, Any], metrics: list[dict[str, Any]], smoke_test: dict[str, Any] | None
) -> None:
    release.change(strategy, metrics, smoke_test)


@happening(strategy=drawn.canary)
def steps_change(release: Release, strategy: dict[str, Any]) -> None:
    """Where there are steps: others, perhaps under a canary on its way; all else stays."""
    spec = release.world.spec
    if "canary" in spec["strategy"]:
        release.change(strategy, spec["analysis"]["metrics"], spec["smokeTest"])


@happening(replicas=among(1, 2, 3, 7), placing="replicas")
def autoscaler_says(release: Release, replicas: int) -> None:
    """Numbers of servers are split anew."""
    release.world.release(serving={"runtime": "modelops", "replicas": replicas})


@happening(control=drawn.control)
def control_changes(release: Release, control: dict[str, Any]) -> None:
    """Windows, a freeze, what a new version does, the time after a promotion."""
    release.world.release(**drawn.OPEN | control | ({"rollbackWindow": None} if release.is_lent else {}))


@happening(there=mostly)
def template_comes_and_goes(release: Release, there: bool) -> None:
    """The MetricTemplate that metrics may name."""
    release.template(there=there)


@happening(answer=among(*drawn.GOLDEN))
def servers_answer(release: Release, answer: Answer | ModelopsError) -> None:
    """Golden requests come to something else from now on."""
    release.world.servers.answer = answer


@happening()
def status_is_lost(release: Release) -> None:
    """A backup without it was restored, or the object was deleted with its children left, and applied again."""
    had, good = release.route, promises.last_good(release)
    for _ in release.lose_status():
        promises.nothing_is_gained(release, had)
        promises.servers_go_after_their_last_request(release)
    assert release.status["stable"]["version"] in good, good


@happening(start=mostly)
def servers_start_or_not(release: Release, start: bool) -> None:
    release.world.servers_start = start


@happening(confirms=mostly)
def gateway_confirms_or_not(release: Release, confirms: bool) -> None:
    release.world.gateway_confirms = confirms


@happening(up=mostly)
def registry_comes_and_goes(release: Release, up: bool) -> None:
    release.world.registry.down = not up


@happening(writes=among(*range(9)))
def operator_is_killed(release: Release, writes: int) -> None:
    """Before so many more writes are done; another one starts."""
    release.world.cluster.lives, release.world.cluster.refusal = writes, None


@happening(writes=among(*range(9)), error=among(Conflict("Conflict", "changed"), Transient("Away", "503")))
def write_is_refused(release: Release, writes: int, error: ModelopsError) -> None:
    release.world.cluster.lives, release.world.cluster.refusal = writes, error


HAPPENINGS: Final = (
    time_passes,
    version_is_trained,
    prometheus_answers,
    human_says,
    spec_changes,
    steps_change,
    control_changes,
    autoscaler_says,
    servers_answer,
    servers_start_or_not,
    gateway_confirms_or_not,
    registry_comes_and_goes,
    template_comes_and_goes,
    clock_is_set_back,
    operator_is_killed,
    write_is_refused,
    gateway_sends,
    status_is_lost,
)
