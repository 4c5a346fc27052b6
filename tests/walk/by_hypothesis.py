"""Walks as hypothesis draws them: it looks for what is rare, and makes a walk that breaks a promise short."""

import itertools
from collections.abc import Mapping
from typing import Any

import celpy  # noqa: F401 - raises the recursion limit, which hypothesis minds in the middle of a walk
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.walk import promises
from tests.walk.drawn import Draw
from tests.walk.happenings import BEGINNING, HAPPENINGS, Happening, begin
from tests.walk.reached import Reached
from tests.walk.release import Release

_ROUND = 100


def walk(number: int, *, steps: int) -> Reached:
    """Walk so many steps, at most 80 each time; return what they reached.

    Args:
        number: from which hypothesis draws them. In a process of its own they are the same ones every time: it draws
            from the constants of the modules loaded, too.
        steps: how many at least.
    """
    reached = Reached()
    machine = _machine(reached)
    for each in itertools.count(number << 32):
        if reached.steps >= steps:
            return reached
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            seed(each)(machine),
            settings=settings(
                max_examples=_ROUND,
                stateful_step_count=80,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
    raise AssertionError


def _machine(reached: Reached) -> type[RuleBasedStateMachine]:
    """Return the machine whose rules are all that may happen."""

    class Walk(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.release = Release()

        @initialize(**_strategies(BEGINNING))
        def begins(self, **given: Any) -> None:
            begin(self.release, **given)

        def teardown(self) -> None:
            if self.release.before:
                promises.are_kept_in_the_end(self.release)

    rules = {happening.name: _rule(happening, reached) for happening in HAPPENINGS}
    return type("Walk", (Walk,), rules)


def _rule(happening: Happening, reached: Reached) -> Any:
    def happens(self: Any, **given: Any) -> None:
        happening(self.release, **given)
        reached.note(happening, self.release)

    happens.__name__ = happens.__qualname__ = happening.name
    named = rule(**_strategies(happening.given))(happens)
    return precondition(lambda self: happening.placing in (None, self.release.placing))(named)


def _strategies(given: Mapping[str, Draw]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: st.randoms(use_true_random=False).map(draw) for name, draw in given.items()}
