"""What an operator can be told about its Lease, and what is refused in one line."""

import pytest

from modelops import config as configuration
from modelops.app import identity
from modelops.errors import Stalled
from modelops.localhome.home import Home
from modelops.localhome.parts import parts


def load(monkeypatch: pytest.MonkeyPatch, **settings: str) -> configuration.Config:
    environment = {f"MODELOPS_{name.upper()}": value for name, value in settings.items()}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return configuration.load(environment)


def test_by_default_a_lease_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifteen seconds, ten, two: those of controller-runtime."""
    config = load(monkeypatch)

    assert config.leader_election
    assert (config.lease_seconds, config.lease_renew_seconds, config.lease_retry_seconds) == (15, 10, 2)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param(
            {"lease_renew_seconds": "15"},
            "MODELOPS_LEASE_RENEW_SECONDS: Value error, 15 is not less than MODELOPS_LEASE_SECONDS (15)",
            id="a holder would not give up before another takes over",
        ),
        pytest.param(
            {"lease_retry_seconds": "10"},
            "MODELOPS_LEASE_RETRY_SECONDS: Value error, 10 is not less than MODELOPS_LEASE_RENEW_SECONDS (10)",
            id="there would be no second try",
        ),
        pytest.param(
            {"lease_seconds": "5"},
            "MODELOPS_LEASE_RENEW_SECONDS: Value error, 10 is not less than MODELOPS_LEASE_SECONDS (5)",
            id="a shorter Lease needs the others shorter too",
        ),
    ],
)
def test_times_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
) -> None:
    """The line names the variable and what it has to be less than."""
    with pytest.raises(Stalled) as refused:
        load(monkeypatch, **settings)

    assert refused.value.message == said


def test_no_two_processes_are_the_same_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that restarts keeps its name; its processes do not share an identity."""
    config = load(monkeypatch, pod_name="modelops-0")

    first, second = identity(config), identity(config)

    assert first != second
    assert first.startswith("modelops-0_")


def test_the_local_home_has_no_election(tmp_path: object) -> None:
    """Its one operator is known by process id; there is nobody to be elected against."""
    home = Home(tmp_path)  # type: ignore[arg-type]
    names = ("mlflow", "api", "prometheus", "envoyAdmin", "gateway", "health", "metrics")
    found = parts(home, dict.fromkeys(names, 1), home.state, "envoy", None)

    operator = next(part for part in found if part.name == "operator")
    assert operator.env["MODELOPS_LEADER_ELECTION"] == "false"
