"""The steps that a strategy comes to. Pure; whoever asks what a canary's steps are asks here.

All strategies but `canary` are expanded into the steps of a canary, so that all the rest knows steps only. Which
step is the current one stands in the status, so the expansion of one spec must always be the same.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from modelops.api.v1alpha1.modelrelease import Analyze, Pause, Step, Strategy
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.api.v1alpha1.routing import AbTest, HeaderRoute, Mirror, Shadow
from modelops.api.v1alpha1.strategies import Approve, Bake, BlueGreen, Linear, PrePromotion

Path = tuple[str | int, ...]
AB_TEST = "ab-test"
"""Name of the header route of an A/B test."""
PRE_PROMOTION = "pre-promotion"
"""Name of the header route before the switch of a blueGreen."""


def effective_steps(strategy: Strategy) -> tuple[Step, ...]:
    """Return the steps from no traffic to the last that is asked for; what is left to 100 % comes after them."""
    if strategy.canary is not None:
        return strategy.canary.steps
    if strategy.linear is not None:
        return tuple(_ramp(strategy.linear))
    if strategy.blue_green is not None:
        return tuple(_switch(strategy.blue_green))
    if strategy.ab_test is not None:
        return _ab_test(strategy.ab_test)
    if strategy.shadow is not None:
        return _shadow(strategy.shadow)
    return ()


def written_steps(strategy: Strategy) -> list[dict[str, Any]]:
    """Return the steps that a strategy comes to as they are written in a spec."""
    return [step.model_dump(mode="json", by_alias=True, exclude_none=True) for step in effective_steps(strategy)]


def weight_after(steps: Sequence[Step]) -> int:
    """Return the percent of the traffic that the canary has once these steps are done."""
    return next((step.set_weight for step in reversed(steps) if step.set_weight is not None), 0)


def path_of(strategy: Strategy, index: int, field: str) -> Path:
    """Return where in the object a field of an effective step was written."""
    if strategy.canary is not None:
        return ("spec", "strategy", "canary", "steps", index, field)
    for name, chosen in (("linear", strategy.linear), ("abTest", strategy.ab_test), ("shadow", strategy.shadow)):
        if chosen is not None:
            return ("spec", "strategy", name)
    switched = weight_after(effective_steps(strategy)[:index]) == 100
    return ("spec", "strategy", "blueGreen", "postPromotion" if switched else "prePromotion")


def needs_passes(strategy: Strategy) -> bool:
    """Return whether every metric must have passed before the promotion: not where the strategy has no analysis."""
    if strategy.blue_green is not None:
        return any(step.analyze is not None for step in effective_steps(strategy))
    return strategy.direct is None


def is_past_all(status: ModelReleaseStatus) -> bool:
    """Return whether nothing is asked of a canary any more: what undo brings back was proven, or a human said so."""
    return status.undo_to is not None or status.by_hand


def turns_requests(step: Step) -> bool:
    """Return whether a step says who gets which requests: by a weight, a header route or copies."""
    return any(one is not None for one in (step.set_weight, step.set_header_route, step.set_mirror))


def waits_for_human(step: Step) -> bool:
    """Return whether nothing but a human's word ends a step."""
    return step.approve is not None or (step.pause is not None and step.pause.duration is None)


def ends_by_word(step: Step) -> bool:
    """Return whether `promote` leaves a step."""
    return step.approve is not None or step.pause is not None


def _ramp(linear: Linear) -> Iterator[Step]:
    top = linear.max_weight or 99
    weights: Iterator[int] = iter(range(linear.step_weight, top + 1, linear.step_weight))
    if linear.max_weight is not None and top % linear.step_weight:
        weights = chain(weights, (top,))
    for weight in weights:
        yield Step(set_weight=weight)
        yield Step(analyze=Analyze(duration=linear.every))


def _switch(blue_green: BlueGreen) -> Iterator[Step]:
    """Yield what happens before users come, the switch, and what happens with all of them."""
    before = blue_green.pre_promotion
    yield from () if before is None else _before_users(before)
    if not blue_green.auto_promote:
        yield Step(approve=Approve())
    if before is not None and before.mirror is not None:
        yield Step(set_mirror=Mirror(percent=0))
    yield Step(set_weight=100)
    if blue_green.post_promotion is not None:
        yield Step(analyze=Analyze(duration=blue_green.post_promotion.duration))


def _before_users(before: PrePromotion) -> Iterator[Step]:
    """Yield how a revision is tried: by being there, or by requests that are not users', until all of them are."""
    if before.match is None and before.mirror is None:
        yield Step(bake=Bake(duration=before.duration))
        return
    if before.match is not None:
        yield Step(set_header_route=HeaderRoute(name=PRE_PROMOTION, match=before.match))
    else:
        yield Step(set_mirror=Mirror(percent=before.mirror or 0))
    yield Step(analyze=Analyze(duration=before.duration))


def _ab_test(test: AbTest) -> tuple[Step, ...]:
    route = HeaderRoute(name=AB_TEST, match=test.match)
    return Step(set_header_route=route), Step(analyze=Analyze(duration=test.duration))


def _shadow(shadow: Shadow) -> tuple[Step, ...]:
    steps = Step(set_mirror=Mirror(percent=shadow.percent)), Step(analyze=Analyze(duration=shadow.duration))
    return steps if shadow.promote else (*steps, Step(pause=Pause()))
