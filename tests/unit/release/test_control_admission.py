"""Windows, freezes and rollback windows that make no sense: refused with the field and the remedy."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from modelops import config
from modelops.app import settings_of
from modelops.cli.main import cli
from modelops.errors import Stalled

WINDOW = {"from": "09:00", "to": "16:00", "timeZone": "Europe/Zurich"}
BOUND = {"name": "bound", "builtin": "success-rate", "thresholdRange": {"min": 0.99}}
TOLERANT = {**BOUND, "name": "tolerant", "failureLimit": -1, "consecutiveSuccessLimit": 3}
COMPARED = {"name": "compared", "builtin": "success-rate", "compareTo": {"stable": {"maxAbsoluteIncrease": 0.1}}}
DRIFT = {"name": "drift", "builtin": "prediction-drift", "thresholdRange": {"max": 0.1}}


def watched(*metrics: dict[str, Any]) -> dict[str, Any]:
    """Return a rollback window, and the metrics beside it."""
    return {"rollbackWindow": {"duration": "1h"}, "analysis": {"metrics": list(metrics)}}


def said(tmp_path: Path, **control: Any) -> str:
    """Return what `validate` says of a release; nothing if it is valid."""
    spec = {
        "model": {"name": "price", "version": "1"},
        "strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}},
        **control,
    }
    meta = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelRelease", "metadata": {"name": "price"}}
    (tmp_path / "release.yaml").write_text(yaml.safe_dump({**meta, "spec": spec}))
    found = CliRunner().invoke(cli, ["validate", str(tmp_path)])
    return found.output if found.exit_code else ""


@pytest.mark.parametrize(
    ("control", "words"),
    [
        pytest.param({"windows": [{**WINDOW, "to": "09:00"}]}, "from and to must differ", id="a window of no length"),
        pytest.param({"windows": [{**WINDOW, "days": []}]}, "days", id="a window on no day"),
        pytest.param({"windows": [{**WINDOW, "days": ["Monday"]}]}, "days", id="a day by its long name"),
        pytest.param({"windows": [{**WINDOW, "from": "9:00"}]}, "from", id="an hour of one digit"),
        pytest.param({"windows": [{**WINDOW, "from": "24:00"}]}, "from", id="a day that begins when it is over"),
        pytest.param({"windows": [{"to": "16:00"}]}, "from", id="no beginning"),
        pytest.param({"windows": [{**WINDOW, "timeZone": "CET"}]}, "timeZone", id="a zone by its abbreviation"),
        pytest.param(
            {"windows": [WINDOW, {**WINDOW, "timeZone": "Mars/Phobos"}]},
            "spec.windows[1].timeZone: there is no time zone Mars/Phobos; write UTC or an IANA name",
            id="a zone that is not there",
        ),
        pytest.param({"freeze": {"until": "tomorrow"}}, "until", id="a freeze until no time"),
        pytest.param({"onNewVersion": "Wait"}, "onNewVersion", id="an unknown policy"),
        pytest.param({"rollbackWindow": {"duration": "0s"}}, "duration", id="a rollback window of no length"),
        pytest.param({"rollbackWindow": {"duration": "169h"}}, "duration", id="one longer than a week"),
        pytest.param(watched(TOLERANT), "no metric could take a promotion back", id="one that any Fail is fine in"),
        pytest.param(watched(TOLERANT, COMPARED), "failureLimit of 0 or more", id="one with nothing to compare with"),
        pytest.param(watched(DRIFT), "give one a thresholdRange", id="one for drift, which needs stable"),
        pytest.param(watched({**BOUND, "dryRun": True}, COMPARED), "could take", id="one whose bound decides nothing"),
    ],
)
def test_senseless_control_is_refused(tmp_path: Path, control: dict[str, Any], words: str) -> None:
    """One line with the field."""
    assert words in said(tmp_path, **control)


@pytest.mark.parametrize(
    "control",
    [
        {"windows": [WINDOW, {**WINDOW, "days": ["Fri"], "from": "22:00", "to": "02:00"}]},
        {"windows": [{"from": "00:00", "to": "24:00"}]},
        {"freeze": {}},
        {"freeze": {"until": "2027-01-04T06:00:00Z", "reason": "holidays"}},
        {"onNewVersion": "Queue", "rollbackWindow": {"duration": "24h"}},
        watched(BOUND, TOLERANT, COMPARED),
        watched({"name": "own", "template": {"name": "orders"}}),
        watched({**TOLERANT, "dryRun": True}),
    ],
    ids=str,
)
def test_sensible_control_is_valid(tmp_path: Path, control: dict[str, Any]) -> None:
    """As docs/control.md has it."""
    assert said(tmp_path, **control) == ""


@pytest.mark.parametrize(
    ("metric", "first"),
    [({}, "1m30s"), ({"interval": "5m"}, "5m30s"), ({"initialDelay": "10m"}, "10m")],
    ids=["analysis' interval", "its own", "a delay"],
)
def test_rollback_window_without_a_look_is_refused(tmp_path: Path, metric: dict[str, Any], first: str) -> None:
    """It would take nothing back; without metrics it keeps servers for undo."""
    bounded = {"name": "m", "builtin": "success-rate", "thresholdRange": {"min": 0.9}, **metric}
    words = f"spec.rollbackWindow.duration: must exceed {first}, after which m is looked at first"
    analysis = {"metrics": [bounded]}
    assert words in said(tmp_path, analysis=analysis, rollbackWindow={"duration": first})
    assert said(tmp_path, analysis=analysis, rollbackWindow={"duration": "11m"}) == ""
    assert said(tmp_path, analysis={"metrics": []}, rollbackWindow={"duration": "1s"}) == ""


def test_operators_freeze_comes_from_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reason and end; without a reason there is none."""
    assert settings_of(config.load({})).freeze is None
    monkeypatch.setenv("MODELOPS_FREEZE", "holidays")
    monkeypatch.setenv("MODELOPS_FREEZE_UNTIL", "2027-01-04T06:00:00Z")
    freeze = settings_of(config.load({})).freeze
    assert freeze is not None
    assert (freeze.reason, freeze.until) == ("holidays", datetime(2027, 1, 4, 6, tzinfo=UTC))


def test_end_without_a_freeze_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would see that it does nothing."""
    monkeypatch.setenv("MODELOPS_FREEZE_UNTIL", "2027-01-04T06:00:00Z")
    with pytest.raises(Stalled, match="set MODELOPS_FREEZE to the reason"):
        config.load({})
