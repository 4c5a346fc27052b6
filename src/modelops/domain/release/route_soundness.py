"""What is wrong with header routes, A/B tests and mirrors that no schema can say. Pure; part of soundness."""

from collections.abc import Iterator, Sequence

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec, Step
from modelops.api.v1alpha1.routing import RequestMatch
from modelops.domain import re2
from modelops.domain.release import routing
from modelops.domain.release.steps import Path, turns_requests, weight_after


def unsound_routes(spec: ModelReleaseSpec) -> Iterator[tuple[Path, str]]:
    """Yield every contradiction as (field, what is wrong and what to do)."""
    where: Path = ("spec", "strategy")
    if spec.strategy.ab_test is not None:
        yield from _matches(spec.strategy.ab_test.match, (*where, "abTest", "match"))
    blue_green = spec.strategy.blue_green
    if blue_green is not None and blue_green.pre_promotion is not None:
        yield from _matches(blue_green.pre_promotion.match or (), (*where, "blueGreen", "prePromotion", "match"))
    if spec.strategy.canary is None:
        return
    steps = spec.strategy.canary.steps
    for index, step in enumerate(steps):
        here: Path = (*where, "canary", "steps", index)
        if step.set_header_route is not None:
            yield from _matches(step.set_header_route.match, (*here, "setHeaderRoute", "match"))
        yield from _sequence(steps, index, here)


def _matches(matches: Sequence[RequestMatch], where: Path) -> Iterator[tuple[Path, str]]:
    names: set[str] = set()
    for index, match in enumerate(matches):
        name = (match.header or "Cookie").lower()
        if name in names:
            words = f"{match.header or 'a cookie'} is matched twice, and a route takes a header once; use one regex"
            yield (*where, index), words
        names.add(name)
        regex = match.regex if match.cookie is None else match.cookie.regex
        if regex is not None and (why := re2.refused(regex)):
            field = ("regex",) if match.cookie is None else ("cookie", "regex")
            yield (*where, index, *field), f"{regex!r} is no regular expression of RE2: {why}"


def _sequence(steps: Sequence[Step], index: int, here: Path) -> Iterator[tuple[Path, str]]:
    step, before, now = steps[index], routing.after(steps[:index]), routing.after(steps[: index + 1])
    route = step.set_header_route
    if route is not None and not route.match and route.name not in {one.name for one in before.header_routes}:
        yield (*here, "setHeaderRoute", "name"), f"there is no header route {route.name} to take away; give it a match"
    if len(now.header_routes) > _MOST_ROUTES:
        yield (*here, "setHeaderRoute"), f"more than {_MOST_ROUTES} header routes at once; take one away before"
    weight = weight_after(steps[: index + 1])
    if turns_requests(step) and now.mirror and (weight or now.header_routes):
        words = "copies and users' own requests would be judged as one; end the mirror with setMirror: {percent: 0}"
        yield here, words


_MOST_ROUTES = 8
