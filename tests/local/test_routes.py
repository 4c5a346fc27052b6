"""Header routes and mirrors on a real Envoy: who gets which request, and what the figures say of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, RevisionStatus
from modelops.domain.release import objects, routing
from modelops.domain.release.objects import Gateway
from modelops.domain.release.strategies import resolved
from modelops.workflows.render import Owner
from tests.local.test_builtins import RELEASE, backend, judged, wait_until
from tests.support.gateway import HOST, RealGateway, missing, running_gateway

pytestmark = [pytest.mark.local, pytest.mark.skipif(missing() is not None, reason=missing() or "")]
_OWNER: Final = Owner("modelops.dev/v1alpha1", "ModelRelease", RELEASE, "test", "0" * 36)
COOKIE: Final = {"cookie": {"name": "group", "exact": "b"}}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as found:
        yield found


def route(real: RealGateway, strategy: dict[str, Any], stable: str, canary: str, *, step: int, weight: int = 0) -> None:
    """Put the HTTPRoute of a release at one of its steps into force."""
    spec = resolved(
        ModelReleaseSpec.model_validate(
            {"model": {"name": "m", "version": "2"}, "traffic": {"hostnames": [HOST]}, "strategy": strategy}
        )
    )
    revisions = [RevisionStatus(version="1", revision=name, digest=name) for name in (stable, canary)]
    status = ModelReleaseStatus(stable=revisions[0], canary=revisions[1], step=step, desired_weight=weight)
    shares = objects.shares(stable, canary, weight)
    extra = routing.wanted(spec, status)
    name = None if extra == routing.Routing() else f"{RELEASE}-{canary}"
    real.route(dict(objects.route_object(_OWNER, spec, shares, Gateway("g", "g"), extra, name).obj))


def counts(real: RealGateway, *revisions: str) -> list[int]:
    """Return how many requests each revision's servers answered, as Envoy has it now."""
    lines = [real.figure(f"cluster.test_{RELEASE}-{revision}.upstream_rq_completed") for revision in revisions]
    return [int(line.split(":")[1]) for line in lines]


@pytest.mark.parametrize(
    ("match", "headers", "taken"),
    [
        pytest.param([{"header": "X-Group", "exact": "b"}], {"x-group": "b"}, True, id="a header"),
        pytest.param([{"header": "X-Group", "exact": "b"}], {"x-group": "bb"}, False, id="another value"),
        pytest.param([{"header": "X-Id", "regex": "[0-4]\\d*"}], {"X-Id": "42"}, True, id="an expression"),
        pytest.param([{"header": "X-Id", "regex": "[0-4]\\d*"}], {"X-Id": "x42"}, False, id="of the whole value"),
        pytest.param([COOKIE], {"Cookie": "group=b"}, True, id="a cookie"),
        pytest.param([COOKIE], {"Cookie": "s=1; group=b; t=2"}, True, id="a cookie among others"),
        pytest.param([COOKIE], {"Cookie": "group=bc"}, False, id="a longer value"),
        pytest.param([COOKIE], {"Cookie": "mygroup=b"}, False, id="a longer name"),
        pytest.param([COOKIE], {"Cookie": "s=group=b"}, False, id="the text in the value of another"),
        pytest.param([COOKIE], {}, False, id="no cookies"),
        pytest.param([COOKIE, {"header": "X-Id", "exact": "1"}], {"Cookie": "group=b"}, False, id="one of two"),
        pytest.param(
            [COOKIE, {"header": "X-Id", "exact": "1"}], {"Cookie": "group=b", "X-Id": "1"}, True, id="both of two"
        ),
    ],
)
def test_only_what_matches_goes_to_the_canary(
    real: RealGateway, match: list[dict[str, Any]], headers: dict[str, str], taken: bool
) -> None:
    """Every request that matches, and no other, whatever the other headers are."""
    if f"{RELEASE}-ma" not in real.backends:
        backend(real, "ma")
        backend(real, "mb")
    route(real, {"abTest": {"match": match, "duration": "1m"}}, "ma", "mb", step=1)
    before = counts(real, "ma", "mb")
    assert real.ask("any", 5, headers=headers) == [200] * 5
    stable, canary = (now - then for now, then in zip(counts(real, "ma", "mb"), before, strict=True))
    assert (stable, canary) == ((0, 5) if taken else (5, 0))


def test_header_route_goes_before_the_weights_and_ends_with_its_step(real: RealGateway) -> None:
    """A tester gets the canary always, others by weight; the step that takes it away leaves the weights."""
    backend(real, "ha")
    backend(real, "hb")
    testers = {"setHeaderRoute": {"name": "testers", "match": [{"header": "X-Tester", "exact": "1"}]}}
    steps = [testers, {"setWeight": 20}, {"setHeaderRoute": {"name": "testers"}}, {"pause": {}}]
    strategy = {"canary": {"steps": steps}}
    route(real, strategy, "ha", "hb", step=1, weight=20)
    assert real.ask("any", 50, headers={"X-Tester": "1"}) == [200] * 50
    assert counts(real, "ha", "hb") == [0, 50]
    real.ask("any", 200)
    stable, canary = counts(real, "ha", "hb")
    assert stable + canary == 250
    assert 12 <= canary - 50 <= 68  # 40, and five standard deviations of either side

    route(real, strategy, "ha", "hb", step=3, weight=20)
    before = counts(real, "ha", "hb")
    real.ask("any", 200, headers={"X-Tester": "1"})
    assert 12 <= counts(real, "ha", "hb")[1] - before[1] <= 68


def test_ab_test_is_judged_by_the_figures_of_what_matched(real: RealGateway) -> None:
    """4 of 40 requests of the group fail, none of the others: Fail for the one, Pass for the other."""
    backend(real, "aa")
    backend(real, "ab", *[(200, 0.0)] * 36, *[(500, 0.0)] * 4, (200, 0.0))
    route(real, {"abTest": {"match": [COOKIE], "duration": "1m"}}, "aa", "ab", step=1)
    real.scraped()
    assert judged(real, "ab", "success-rate").verdict == "NoData"
    real.ask("any", 40, headers={"Cookie": "group=b"})
    real.ask("any", 60)
    real.scraped()
    group, others = judged(real, "ab", "success-rate"), judged(real, "aa", "success-rate")
    assert (group.verdict, group.value, group.samples) == ("Fail", pytest.approx(0.9), 40)
    assert (others.verdict, others.samples) == ("Pass", 60)


def test_mirror_copies_every_request_and_no_user_sees_its_answers(real: RealGateway) -> None:
    """The canary fails and is slow; users get stable's answers at stable's pace; the figures know both."""
    backend(real, "sa")
    backend(real, "sb", *[(500, 0.3)] * 10, (200, 0.3))
    route(real, {"shadow": {"duration": "1m"}}, "sa", "sb", step=1)
    real.scraped()
    assert real.ask("any", 40, timeout=0.25) == [200] * 40
    wait_until(lambda: counts(real, "sa", "sb") == [40, 40])
    real.scraped()
    found, slow = judged(real, "sb", "success-rate"), judged(real, "sb", "slow-share", slo=0.2)
    assert (found.verdict, found.value, found.samples) == ("Fail", pytest.approx(0.75), 40)
    assert (slow.value, slow.samples) == (1.0, 40)
    assert judged(real, "sa", "success-rate").verdict == "Pass"


def test_mirror_of_a_share_copies_about_that_share(real: RealGateway) -> None:
    """A quarter of 400 requests; five standard deviations are 43."""
    backend(real, "qa")
    backend(real, "qb")
    route(real, {"shadow": {"percent": 25, "duration": "1m"}}, "qa", "qb", step=1)
    real.ask("any", 400)
    stable, canary = counts(real, "qa", "qb")
    assert stable == 400
    assert 57 <= canary <= 143


def test_mirror_to_servers_that_are_gone_costs_users_nothing(real: RealGateway, tmp_path: Path) -> None:
    """Nothing listens where the copies go: every user gets an answer, and the canary's figures are failures."""
    backend(real, "ga")
    real.add(f"{RELEASE}-gb", 1)
    route(real, {"shadow": {"duration": "1m"}}, "ga", "gb", step=1)
    real.scraped()
    assert real.ask("any", 30) == [200] * 30
    real.scraped()
    found = judged(real, "gb", "success-rate")
    assert (found.verdict, found.value) == ("Fail", 0.0)
