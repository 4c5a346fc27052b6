"""What a walk is made of: strategies, metrics and answers, each a function of a random.Random.

A seed's Random walks fast; hypothesis gives one of its own (`st.randoms`), whose choices it records and makes simpler.
It goes for the first of several, so what is plain comes first.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

from modelops.errors import ModelopsError, Transient
from modelops.ports import Answer
from tests.unit.release.world import sound
from tests.walk import figures

Draw = Callable[[Random], Any]


def among(*values: Any) -> Draw:
    """Return what draws one of them."""
    return lambda random: random.choice(values)


def either(random: Random) -> bool:
    """Return False or True."""
    return random.choice((False, True))


def mostly(random: Random) -> bool:
    """Return True three times of four: a world of which half were broken would let no canary come far."""
    return random.choice((True, True, True, False))


def rarely(random: Random) -> bool:
    """Return True once in four times."""
    return not mostly(random)


def perhaps(**fields: Draw) -> Draw:
    """Return what draws a mapping that has each of the fields, or has it not."""

    def draw(random: Random) -> dict[str, Any]:
        return {name: one(random) for name, one in fields.items() if either(random)}

    return draw


def _weight(random: Random) -> int:
    """Return any, and nothing and all more often than others."""
    return random.choice((0, 100)) if random.choice((True, False, False, False)) else random.randint(0, 100)


_MATCH: Final = [{"header": "X-A", "exact": "a"}]
_ROUTES: Final = among(
    {"name": "a", "match": _MATCH},
    {"name": "b", "match": [{"header": "X-B", "regex": "b+"}]},
    {"name": "a"},
)
_STEPS: Final[tuple[Draw, ...]] = (
    lambda random: {"setWeight": _weight(random)},
    lambda random: {"analyze": {"duration": random.choice(("5s", "40s"))}},
    lambda random: {"pause": random.choice(({"duration": "40s"}, {"duration": "40s"}, {}))},
    among({"bake": {"duration": "40s"}}, {"smokeTest": {}}, {"approve": {}}),
    lambda random: {"setHeaderRoute": _ROUTES(random)},
    lambda random: {"setMirror": {"percent": random.choice((100, 50, 0))}},
    lambda random: {"setCanaryScale": random.choice(({"replicas": 1}, {"percent": 50}, {"matchTrafficWeight": True}))},
)
_LINEAR: Final = among({"stepWeight": 30, "every": "20s"}, {"stepWeight": 45, "every": "5s", "maxWeight": 60})
_BLUE_GREEN: Final = perhaps(
    prePromotion=among({"duration": "20s"}, {"duration": "20s", "match": _MATCH}, {"duration": "20s", "mirror": 50}),
    postPromotion=among({"duration": "20s"}),
    autoPromote=either,
    scaleDownDelay=among("2m"),
)


def canary(random: Random) -> dict[str, Any]:
    """Return one to five steps, not seldom of two kinds only: what takes several of a kind is rare among all."""
    kinds = random.sample(_STEPS, 2) if rarely(random) or rarely(random) else _STEPS
    return {"canary": {"steps": sound([random.choice(kinds)(random) for _ in range(random.randint(1, 5))])}}


_STRATEGIES: Final[tuple[Draw, ...]] = (
    *(canary,) * 3,
    lambda random: {"linear": _LINEAR(random)},
    lambda random: {"blueGreen": _BLUE_GREEN(random)},
    among({"direct": {}}),
    among({"abTest": {"match": _MATCH, "duration": "20s"}}),
    lambda random: {"shadow": {"percent": 50, "duration": "20s", "promote": either(random)}},
)


def strategy(random: Random) -> dict[str, Any]:
    """Return one of every kind, most often of the one that can say most."""
    found: dict[str, Any] = random.choice(_STRATEGIES)(random)
    return found


PLACING: Final[dict[str, dict[str, Any]]] = {
    "gateway": {},
    "replicas": {"traffic": {"mode": "replicas", "timeout": "5s"}},
    "lent": {"serving": {"runtime": "modelops", "surge": "none"}},
}
"""How servers and weights belong together, as a spec has it."""


def by_servers(strategy: dict[str, Any]) -> dict[str, Any]:
    """Return a strategy with what goes on beside the numbers of servers left out."""
    if "canary" in strategy:
        gone = {"setHeaderRoute", "setMirror", "setCanaryScale"}
        return {"canary": {"steps": sound([step for step in strategy["canary"]["steps"] if not gone & step.keys()])}}
    if "prePromotion" in (found := strategy.get("blueGreen", {})):
        return {"blueGreen": found | {"prePromotion": {"duration": found["prePromotion"]["duration"]}}}
    return {"direct": {}} if {"abTest", "shadow"} & strategy.keys() else strategy


control: Final = perhaps(
    # The walk begins at 12:00 on a Thursday.
    windows=among([{"days": ["Thu"], "from": "11:30", "to": "12:15", "timeZone": "UTC"}]),
    freeze=among({"reason": "holidays"}, {"until": "2026-01-01T12:05:00Z"}),
    onNewVersion=among("Supersede", "Queue", "Ignore"),
    rollbackWindow=among({"duration": "60s"}),
)
OPEN: Final[dict[str, Any]] = {"windows": [], "freeze": None, "onNewVersion": "Supersede", "rollbackWindow": None}
_ASKED: Final = "{{ .revision }}"
TEMPLATE: Final = {
    "args": [{"name": "n"}],
    "prometheus": {"query": f"q{{{{ args.n }}}} {_ASKED}", "samplesQuery": f"s{{{{ args.n }}}} {_ASKED}"},
    "thresholdRange": {"min": 0.95},
}
"""The MetricTemplate `share`."""
_BOUND: Final = among(
    {"thresholdRange": {"min": 0.95}},
    {"successCondition": "result[0] >= 0.95"},
    {"successCondition": "result[0] >= 0.95", "failureCondition": "result[0] < 0.9"},
)
_BAD: Final = {"thresholdRange": {"max": 0.05}}


def _compared(**limits: Any) -> dict[str, Any]:
    return {"compareTo": {"stable": limits}}


def _share(number: int, random: Random) -> dict[str, Any]:
    own = {"prometheus": {"query": f"q{number} {_ASKED}", "samplesQuery": f"s{number} {_ASKED}"}}
    return own | random.choice((_BOUND(random), _compared(maxAbsoluteDecrease=0.05)))


def _counts(number: int, random: Random) -> dict[str, Any]:
    own = {"prometheus": {"eventsQuery": f"e{number} {_ASKED}", "samplesQuery": f"s{number} {_ASKED}"}}
    sequential = _compared(maxAbsoluteIncrease=0.05, test="sequential")
    return own | random.choice((_BAD, sequential, _BAD | sequential))


def _builtin(_: int, random: Random) -> dict[str, Any]:
    return {"builtin": "success-rate"} | random.choice((_BOUND(random), _compared(maxRelativeIncrease=1)))


def _labelled(_: int, random: Random) -> dict[str, Any]:
    sequential = _compared(maxAbsoluteIncrease=0.05, test="sequential")
    return {"builtin": "labelled-error"} | random.choice((_BAD, sequential, _BAD | sequential))


def _drift(_: int, random: Random) -> dict[str, Any]:
    return {"builtin": "prediction-drift", "thresholdRange": {"max": random.choice((0.1, 0.25))}}


def _difference(_: int, __: Random) -> dict[str, Any]:
    return {"builtin": "answer-difference"} | _BAD


def _templated(number: int, random: Random) -> dict[str, Any]:
    return {"template": {"name": "share", "args": {"n": str(number)}}} | random.choice(({}, _BOUND(random)))


def by_bounds(metric: dict[str, Any]) -> dict[str, Any]:
    """Return a metric that is not compared with stable, for steps that leave nothing to compare with, or no time."""
    left = {field: value for field, value in metric.items() if field != "compareTo"}
    if metric.get("builtin") in ("prediction-drift", "answer-difference"):
        return left | {"builtin": "success-rate", "thresholdRange": {"min": 0.95}}
    bad = "eventsQuery" in metric.get("prometheus", ()) or metric.get("builtin") == "labelled-error"
    good = _BAD if bad else {"thresholdRange": {"min": 0.95}}
    return good | left if "compareTo" in metric and "thresholdRange" not in metric else left


_LIMITS: Final = perhaps(
    failureLimit=among(0, 1, 2),
    inconclusiveLimit=among(0, 1),
    consecutiveErrorLimit=among(0, 1, 2),
    consecutiveSuccessLimit=among(0, 1, 2),
    count=among(0, 5),
    initialDelay=among("0s", "30s"),
    noDataPolicy=among("Hold", "Pause", "Fail"),
    noDataDeadline=among("20s", "60s"),
    errorPolicy=among("Hold", "Pause", "Fail"),
    dryRun=either,
)


def metrics(random: Random) -> list[dict[str, Any]]:
    """Return one or two: of own queries, counts, built-ins, a template; with bounds, compared with stable, or both."""
    return [
        {
            "name": f"m{n}",
            "minSamples": 50,
            **random.choice((_share, _counts, _builtin, _templated, _share, _counts, _labelled, _drift, _difference))(
                n, random
            ),
            **_LIMITS(random),
        }
        for n in range(random.randint(1, 2))
    ]


ANSWERS: Final[tuple[figures.Answer, ...]] = (
    figures.WELL, figures.WELL, (0.92, 100), (0.5, 100), (0.99, 3), (0.5, 3), (float("nan"), 100), (float("inf"), 100),
    (None, 100), (0.99, None), (Transient("MetricsUnavailable", "503"), 100),
)  # fmt: skip
smoke_test: Final = among(
    None,
    None,
    {"requests": [{"name": "a", "body": {}, "expect": "body.a == 1"}], "maxLatency": "100ms", "failureLimit": 1},
    {"requests": [{"name": "a", "body": {}, "expect": "body.a < 2"}, {"name": "b", "path": "/b"}], "repeat": 2},
)
GOOD: Final = Answer(200, b'{"a": 1}', 0.01)
GOLDEN: Final[tuple[Answer | ModelopsError, ...]] = (
    GOOD, GOOD, GOOD, Answer(200, b'{"a": 5}', 0.01), Answer(200, b"", 0.01), Answer(503, b"", 0.01),
    Answer(200, b'{"a": 1}', 0.5), Transient("NoAnswer", "no answer"), Transient("ServerUnreachable", "refused"),
)  # fmt: skip
"""What model servers answer: well, wrongly, nothing, too late; or nobody is there."""
VERBS: Final = ("promote", "promote", "full", "abort", "retry", "pause", "unpause", "undo")
