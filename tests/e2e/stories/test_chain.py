"""The whole chain: three commits of the example, byte for byte those of the laptop, to models judged in production."""

from pathlib import Path
from typing import Any

from examples import make_repo

from modelops.api.kinds import DATASET, MODELRELEASE
from tests.e2e.stories.estate import Estate
from tests.e2e.stories.shop import LAG, Customers, customers
from tests.support.operators import until

NAMESPACE = "story-chain"
EXAMPLE = "digits"
NAME, HOST = make_repo.NAMES[EXAMPLE], make_repo.HOSTNAMES[EXAMPLE]


def test_three_commits_have_the_fates_they_have_on_the_laptop(routes: Estate, trains: Estate, tmp_path: Path) -> None:
    """Given the example's commits, when each is trained and released, then two are promoted, and one is rolled back."""
    assert routes is trains
    repository = tmp_path / EXAMPLE
    make_repo.make_repository(EXAMPLE, repository)
    commits = [make_repo.commit_version(repository, 1, example=EXAMPLE)]
    _is_the_laptops(repository)

    with trains.repository(tmp_path, EXAMPLE, NAMESPACE, url=f"{EXAMPLE}/.git"):
        first = _settled(trains, "1", 400)
        # One row in twenty is of a stuck sensor.
        rows = make_repo.traffic_rows(EXAMPLE)[: make_repo.ODD_EVERY]
        with customers(trains, NAMESPACE, "customers", HOST, f"/v2/models/{NAME}/infer", bodies=rows) as asking:
            commits.append(make_repo.commit_version(repository, 2, example=EXAMPLE))
            second = _settled(trains, "2", 400)
            until(lambda: _answer_is_of(asking, "2"), LAG, "the second version answers", 0.1)
            well = asking.failed()
            commits.append(make_repo.commit_version(repository, 3, example=EXAMPLE))
            third = _settled(trains, "3", 400)
            counts = asking.counts()

    status = trains.status(MODELRELEASE, NAMESPACE, NAME)
    assert [one["outcome"] for one in (first, second, third)] == ["Promoted", "Promoted", "RolledBack"]
    assert "success-rate" in third["message"]
    assert status["stable"]["version"] == "2"
    assert [one["commit"] for one in (first, second, third)] == commits
    assert trains.ready(DATASET, NAMESPACE, make_repo.DATASETS[EXAMPLE]) == ("True", "Pinned")
    # Only the third version fails, and only at a stuck sensor.
    assert well == []
    assert {code for code, _ in counts} == {200, 500}, counts
    assert {version for _, version in counts} >= {"1", "2", "3"}, counts


def _is_the_laptops(repository: Path) -> None:
    """Look that what is committed is the example's own files; the laptop's tests commit the same."""
    manifests = sorted((make_repo.HERE / EXAMPLE / "v1").glob("*.yaml"))
    assert manifests
    assert [(repository / "deploy" / one.name).read_bytes() for one in manifests] == [
        one.read_bytes() for one in manifests
    ]


def _settled(estate: Estate, version: str, seconds: float) -> dict[str, Any]:
    """Return the record of a version once its fate is settled."""

    def records(status: dict[str, Any]) -> list[dict[str, Any]]:
        return [one for one in status.get("history") or () if one["version"] == version]

    return records(estate.until(MODELRELEASE, NAMESPACE, NAME, records, seconds))[-1]


def _answer_is_of(asking: Customers, version: str) -> bool:
    return any(one.version == version for one in asking.answers())
