"""Strategies in the words of `modelops plan`."""

from typing import Any

import pytest

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.cli.foresee.release import steps_words

MATCH = [{"header": "X-A", "exact": "b"}]


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (
            {"abTest": {"match": MATCH, "duration": "1h"}},
            "A/B test header route ab-test → analyze 1h → 100 %",
        ),
        (
            {"shadow": {"percent": 50, "duration": "1h"}},
            "shadow mirror 50 % → analyze 1h → pause for a human → 100 %",
        ),
        (
            {
                "canary": {
                    "steps": [{"setHeaderRoute": {"name": "a", "match": MATCH}}, {"setHeaderRoute": {"name": "a"}}]
                }
            },
            "canary header route a → no header route a → 100 %",
        ),
    ],
)
def test_strategy_is_told(strategy: dict[str, Any], said: str) -> None:
    """Every step, and where it leads."""
    spec = ModelReleaseSpec.model_validate({"model": {"name": "m", "version": "1"}, "strategy": strategy})
    assert steps_words(spec) == said
