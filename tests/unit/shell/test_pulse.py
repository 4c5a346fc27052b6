"""Which silent watch is dead, and which is only quiet, or not to blame."""

from modelops.api.kinds import COMPUTEPOOL, DATASET, Resource
from modelops.shell.pulse import Answer, Pulse

POOL, DATA = COMPUTEPOOL.resource, DATASET.resource
LIMIT = 140.0


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def beating() -> tuple[Pulse, Clock]:
    clock = Clock()
    return Pulse([POOL, DATA], LIMIT, clock), clock


def asked(*answers: tuple[Resource, Answer]) -> dict[Resource, Answer]:
    return dict(answers)


def test_a_watch_that_gives_signs_is_never_dead() -> None:
    """However quiet: being made anew is a sign too."""
    pulse, clock = beating()
    for _ in range(10):
        clock.now += 75
        pulse.sign(POOL)
        pulse.sign(DATA)

    assert (pulse.dead(), pulse.stale()) == ({}, {})


def test_a_silent_watch_of_a_server_that_answers_is_dead_after_the_limit() -> None:
    """Only that one."""
    pulse, clock = beating()
    for _ in range(15):
        clock.now += 10
        pulse.sign(DATA)
        pulse.judge(lambda _: Answer.SERVED)

    assert pulse.dead() == {POOL: 150.0}


def test_while_the_server_is_away_no_watch_is_dead_but_all_are_stale() -> None:
    """And when it is back each has the whole limit to come back."""
    pulse, clock = beating()
    for _ in range(60):
        clock.now += 10
        pulse.judge(lambda _: Answer.AWAY)
    assert pulse.dead() == {}
    assert set(pulse.stale()) == {POOL, DATA}

    clock.now += LIMIT - 1
    pulse.judge(lambda _: Answer.SERVED)
    assert pulse.dead() == {}
    clock.now += 2
    assert set(pulse.dead()) == {POOL, DATA}


def test_a_refused_resource_is_not_dead_and_excuses_no_other() -> None:
    """A role that was taken away is not mended by a restart."""
    pulse, clock = beating()
    answers = asked((POOL, Answer.REFUSED), (DATA, Answer.SERVED))
    for _ in range(20):
        clock.now += 10
        pulse.judge(lambda resource: answers[resource])

    assert set(pulse.dead()) == {DATA}


def test_a_resource_that_comes_to_be_served_is_told_once() -> None:
    """Nobody watches it yet; until then it has no age."""
    pulse, clock = beating()
    answers = asked((POOL, Answer.UNKNOWN), (DATA, Answer.SERVED))
    clock.now += LIMIT
    pulse.sign(DATA)
    pulse.judge(lambda resource: answers[resource])
    assert set(pulse.ages()) == {DATA}

    answers[POOL] = Answer.SERVED
    told = [pulse.judge(lambda resource: answers[resource]) for _ in range(2)]

    assert told == [[POOL], []]
    assert POOL not in pulse.dead()
