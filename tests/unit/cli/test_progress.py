"""Steps and strategies as people read them: in a plan, and while they wait."""

import io
from typing import Any

import pytest
from rich.console import Console

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.cli import progress
from modelops.cli.foresee.release import steps_words


def spec(strategy: dict[str, Any]) -> dict[str, Any]:
    """Return a release's spec with a strategy."""
    return {"model": {"name": "price", "version": "1"}, "strategy": strategy}


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (
            {"canary": {"steps": [{"setWeight": 5}, {"approve": {}}, {"bake": {"duration": "48h"}}]}},
            "canary 5 % → approve → bake 48h → 100 %",
        ),
        (
            {
                "canary": {
                    "steps": [
                        {"setCanaryScale": {"replicas": 2}},
                        {"setCanaryScale": {"percent": 50}},
                        {"setCanaryScale": {"matchTrafficWeight": True}},
                        {"setWeight": 100},
                    ]
                }
            },
            "canary scale to 2 → scale to 50 % of the servers → scale to the weight → 100 %",
        ),
        ({"linear": {"stepWeight": 50, "every": "5m"}}, "linear 50 % → analyze 5m → 100 %"),
        (
            {"blueGreen": {"prePromotion": {"duration": "1m"}, "autoPromote": False}},
            "blue-green bake 1m → approve → 100 %",
        ),
        ({"blueGreen": {"postPromotion": {"duration": "1m"}}}, "blue-green 100 % → analyze 1m"),
        ({"direct": {}}, "direct 100 %"),
    ],
)
def test_way_of_a_revision_in_words(strategy: dict[str, Any], words: str) -> None:
    """Every step has its words; all of the traffic stands there once."""
    assert steps_words(ModelReleaseSpec.model_validate(spec(strategy))) == words


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ({"direct": {}}, "direct smoke test → 100 %"),
        ({"canary": {"steps": [{"setWeight": 5}]}}, "canary smoke test → 5 % → 100 %"),
        ({"canary": {"steps": [{"approve": {}}, {"smokeTest": {}}]}}, "canary approve → smoke test → 100 %"),
    ],
)
def test_smoke_test_stands_where_it_is_run(strategy: dict[str, Any], words: str) -> None:
    """Before all else, unless a step says it."""
    tested = spec(strategy) | {"smokeTest": {"requests": [{"name": "any", "path": "/"}]}}
    assert steps_words(ModelReleaseSpec.model_validate(tested)) == words


def test_progress_shows_the_steps_that_a_strategy_comes_to() -> None:
    """Done, current and open ones, also where nobody wrote them down."""
    linear = {"linear": {"stepWeight": 40, "every": "5m"}}
    found = {"spec": spec(linear), "status": {"canary": {"version": "2"}, "step": 1, "weight": 40}}
    out = io.StringIO()
    Console(file=out, width=120).print(progress._picture(found, "version 2"))
    assert "✓ 40 %  ● analyze 5m  ○ 80 %  ○ analyze 5m" in out.getvalue()
