"""What holds of every rollout: weights sum to 100, stable keeps its servers, act then decide again does nothing."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelops.domain.release.objects import shares
from tests.unit.release.world import World

_STEP = st.one_of(
    st.integers(0, 100).map(lambda weight: {"setWeight": weight}),
    st.sampled_from([5, 15]).map(lambda seconds: {"analyze": {"duration": f"{seconds}s"}}),
    st.sampled_from([3, 20]).map(lambda seconds: {"pause": {"duration": f"{seconds}s"}}),
)
_HAPPENING = st.sampled_from(["good", "bad", "few", "away", "abort", "retry", "promote", "full", "commit", "wait"])


@given(st.one_of(st.none(), st.text("0123456789abcdef", min_size=1)), st.text(min_size=1), st.integers(0, 100))
def test_shares_sum_to_one_hundred(stable: str | None, canary: str, weight: int) -> None:
    """Whatever the weight, every request has a backend."""
    found = shares(stable, canary, weight)
    assert sum(percent for _, percent in found) == (100 if found else 0)
    assert all(percent > 0 for _, percent in found)
    assert bool(found) or stable is None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_STEP, min_size=1, max_size=5), st.lists(_HAPPENING, max_size=8))
def test_every_rollout_keeps_its_promises(steps: list[dict[str, object]], happenings: list[str]) -> None:
    """After any sequence of answers, commands and commits the invariants hold, and a further pass writes nothing."""
    world = World()
    world.release(strategy={"canary": {"steps": steps}})
    world.first()
    version = 1
    for happening in happenings:
        match happening:
            case "good":
                world.answer()
            case "bad":
                world.answer(value=0.2)
            case "few":
                world.answer(samples=1)
            case "away":
                world.metrics.answers.clear()
            case "commit":
                version += 1
                world.train(str(version))
            case "full":
                world.command("promote", full=True)
            case "wait":
                pass
            case verb:
                world.command(verb)
        world.settle(seconds=17)
        route = world.route()
        stable = world.status["stable"]["revision"]
        assert sum(route.values()) == 100
        assert set(route) <= world.deployments()
        assert stable in route or route == {(world.status.get("canary") or {}).get("revision"): 100}
        world.cluster.calls.clear()
        world.pass_()
        assert world.cluster.calls == []
