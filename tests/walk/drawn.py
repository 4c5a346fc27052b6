"""What a walk is made of: strategies, metrics and answers as hypothesis draws them, and a cluster that may fail."""

from typing import Any, Final

import celpy  # noqa: F401 - raises the recursion limit, which hypothesis minds in the middle of a walk
from hypothesis import strategies as st

from modelops.errors import ModelopsError, Transient
from modelops.ports import Answer
from tests.support.fakes import FakeCluster
from tests.unit.release.world import sound

_STEP: Final = st.one_of(
    st.integers(0, 100).map(lambda weight: {"setWeight": weight}),
    st.sampled_from(["5s", "40s"]).map(lambda duration: {"analyze": {"duration": duration}}),
    st.sampled_from([{}, {"duration": "20s"}]).map(lambda pause: {"pause": pause}),
    st.sampled_from([{"approve": {}}, {"bake": {"duration": "20s"}}, {"smokeTest": {}}]),
    st.sampled_from(
        [
            {"name": "a", "match": [{"header": "X-A", "exact": "a"}]},
            {"name": "b", "match": [{"header": "X-B", "regex": "b+"}]},
        ]
    ).map(lambda route: {"setHeaderRoute": route}),
    st.sampled_from([{"replicas": 1}, {"percent": 50}, {"matchTrafficWeight": True}]).map(
        lambda scale: {"setCanaryScale": scale}
    ),
)
STRATEGY: Final = st.one_of(
    st.lists(_STEP, min_size=1, max_size=5).map(lambda steps: {"canary": {"steps": sound(steps)}}),
    st.sampled_from([{"stepWeight": 30, "every": "20s"}, {"stepWeight": 45, "every": "5s", "maxWeight": 60}]).map(
        lambda linear: {"linear": linear}
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "prePromotion": st.just({"duration": "20s"}),
            "postPromotion": st.just({"duration": "20s"}),
            "autoPromote": st.booleans(),
            "scaleDownDelay": st.just("2m"),
        },
    ).map(lambda chosen: {"blueGreen": chosen}),
    st.just({"direct": {}}),
    st.just({"abTest": {"match": [{"header": "X-A", "exact": "a"}], "duration": "20s"}}),
    st.booleans().map(lambda promote: {"shadow": {"percent": 50, "duration": "20s", "promote": promote}}),
)
PLACING: Final[dict[str, dict[str, Any]]] = {
    "gateway": {},
    "replicas": {"traffic": {"mode": "replicas", "timeout": "5s"}},
    "lent": {"serving": {"runtime": "modelops", "surge": "none"}},
}
"""How servers and weights belong together, as a spec has it."""


def by_servers(strategy: dict[str, Any]) -> dict[str, Any]:
    """Return a strategy with what goes on beside the numbers of servers left out."""
    if "canary" in strategy:
        gone = {"setHeaderRoute", "setCanaryScale"}
        return {"canary": {"steps": sound([step for step in strategy["canary"]["steps"] if not gone & step.keys()])}}
    return {"direct": {}} if {"abTest", "shadow"} & strategy.keys() else strategy


CONTROL: Final = st.fixed_dictionaries(
    {},
    optional={
        # The walk begins at 12:00 on a Thursday.
        "windows": st.just([{"days": ["Thu"], "from": "11:30", "to": "12:15", "timeZone": "UTC"}]),
        "freeze": st.sampled_from([{"reason": "holidays"}, {"until": "2026-01-01T12:05:00Z"}]),
        "onNewVersion": st.sampled_from(["Supersede", "Queue", "Ignore"]),
        "rollbackWindow": st.just({"duration": "60s"}),
    },
)
OPEN: Final[dict[str, Any]] = {"windows": [], "freeze": None, "onNewVersion": "Supersede", "rollbackWindow": None}
_BOUND: Final = st.sampled_from(
    [
        {"thresholdRange": {"min": 0.95}},
        {"successCondition": "result[0] >= 0.95"},
        {"successCondition": "result[0] >= 0.95", "failureCondition": "result[0] < 0.9"},
    ]
)
_LIMITS: Final = st.fixed_dictionaries(
    {},
    optional={
        "failureLimit": st.integers(0, 2),
        "inconclusiveLimit": st.integers(0, 1),
        "consecutiveErrorLimit": st.integers(0, 2),
        "consecutiveSuccessLimit": st.integers(0, 2),
        "count": st.sampled_from([0, 5]),
        "initialDelay": st.sampled_from(["0s", "30s"]),
        "noDataPolicy": st.sampled_from(["Hold", "Pause", "Fail"]),
        "noDataDeadline": st.sampled_from(["20s", "60s"]),
        "errorPolicy": st.sampled_from(["Hold", "Pause", "Fail"]),
        "dryRun": st.booleans(),
    },
)
METRICS: Final = st.lists(st.tuples(_BOUND, _LIMITS), min_size=1, max_size=2).map(
    lambda drawn: [
        {
            "name": f"m{n}",
            "minSamples": 50,
            "prometheus": {"query": f"q{n}", "samplesQuery": f"s{n}"},
            **bound,
            **limits,
        }
        for n, (bound, limits) in enumerate(drawn)
    ]
)
ANSWERS: Final[tuple[tuple[float | ModelopsError | None, float | None], ...]] = (
    (0.99, 100), (0.99, 100), (0.92, 100), (0.5, 100), (0.99, 3), (0.5, 3), (float("nan"), 100), (float("inf"), 100),
    (None, 100), (0.99, None), (Transient("MetricsUnavailable", "503"), 100),
)  # fmt: skip
"""What a metric's two queries give: a value, and how many samples are behind it; None is no series."""
SMOKE_TEST: Final = st.sampled_from(
    [
        None,
        {"requests": [{"name": "a", "body": {}, "expect": "body.a == 1"}], "maxLatency": "100ms", "failureLimit": 1},
        {"requests": [{"name": "a", "body": {}, "expect": "body.a < 2"}, {"name": "b", "path": "/b"}], "repeat": 2},
    ]
)
GOOD: Final = Answer(200, b'{"a": 1}', 0.01)
GOLDEN: Final[tuple[Answer | ModelopsError, ...]] = (
    GOOD, GOOD, GOOD, Answer(200, b'{"a": 5}', 0.01), Answer(200, b"", 0.01), Answer(503, b"", 0.01),
    Answer(200, b'{"a": 1}', 0.5), Transient("NoAnswer", "no answer"), Transient("ServerUnreachable", "refused"),
)  # fmt: skip
"""What model servers answer: well, wrongly, nothing, too late; or nobody is there."""
VERBS: Final = ("promote", "full", "abort", "retry", "pause", "unpause", "undo")


class Killed(BaseException):
    """The process is gone; nothing of it may catch this."""


class Mortal(FakeCluster):
    """A cluster before one of whose next writes the process is killed, or is refused."""

    lives: int | None = None
    """Writes until then; None is for ever."""
    refusal: ModelopsError | None = None
    """What the write meets instead of a kill."""

    def _called(self, verb: str, resource: Any, name: str) -> None:
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                self.lives = None
                raise self.refusal or Killed
        super()._called(verb, resource, name)
