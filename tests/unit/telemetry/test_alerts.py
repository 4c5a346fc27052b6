"""Every alert fires when it should and only then, says Prometheus' own promtool, and its runbook is there."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from modelops.api.v1alpha1.modelrelease import Phase

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "charts" / "modelops" / "files" / "alerts.yaml"
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"][0]["rules"]
OWN = '{job="modelops", instance="a"}'
NAMED = 'namespace="pricing", name="price"'
STABLE = f'modelops_release_info{{{NAMED}, stable_version="1"}}'


def condition(kind: str, type_: str, status: str) -> str:
    return f'modelops_condition{{kind="{kind}", {NAMED}, type="{type_}", status="{status}"}}'


def release(name: str, **labels: str) -> str:
    more = "".join(f', {key}="{value}"' for key, value in labels.items())
    return f"modelops_{name}{{{NAMED}{more}}}"


VERDICT = release("analysis_verdict", metric="m", verdict="NoData")
ANALYZING, BAKING, PROMOTED = (release("release_phase", phase=one) for one in ("Analyzing", "Baking", "Promoted"))
PAUSED, PROMOTING = (release("release_phase", phase=one) for one in ("Paused", "Promoting"))
DUE = release("analysis_no_data_due_timestamp_seconds", metric="m")
WATCH = 'modelops_watch_last_event_timestamp_seconds{resource="pods."}'
ERRORS = 'modelops_reconcile_errors_total{kind="Dataset", reason="ApiAway"}'
CONFLICTS = ERRORS.replace("ApiAway", "Conflict")
SLOW = 'modelops_reconcile_duration_seconds_bucket{kind="Dataset", le="%s"}'
LISTS = 'modelops_watch_lists_total{resource="pods."}'
READY = condition("GitSource", "Ready", "False")
DOWN = condition("ModelRelease", "Ready", "False")
STALLED = condition("Dataset", "Stalled", "True")
DEGRADED = condition("ModelRelease", "Degraded", "True")
TEST_FAILED = release("release_smoke_test_outcome", outcome="Failed")
RUN = release("trainingrun_last_outcome", outcome="%s")
ENDED = release("release_outcomes_total", outcome="RolledBack")

Series = dict[str, str]
CASES: list[tuple[str, str, Series, Series]] = [
    # Alert, when it is looked for, series over which it fires by then, series over which it does not.
    ("OperatorDown", "6m", {f"up{OWN}": "0x90"}, {f"up{OWN}": "0x4 1x86"}),
    ("NoLeader", "4m", {f"modelops_leader{OWN}": "0x90"}, {f"modelops_leader{OWN}": "0 0 1x88"}),
    (
        "ManyLeaders", "3m",
        {f"modelops_leader{OWN}": "1x90", f"modelops_leader{OWN.replace('a', 'b', 1)}": "1x90"},
        {f"modelops_leader{OWN}": "1x90"},
    ),
    ("WatchDead", "12m", {WATCH: "1x90"}, {WATCH: "0x90"}),
    ("WatchDead", "12m", {WATCH: "60x90"}, {WATCH: "0+60x90"}),
    ("WatchRestarts", "30m", {LISTS: "0+12x90"}, {LISTS: "0+3x90"}),
    ("ReconcilesFail", "40m", {ERRORS: "0+1x90"}, {ERRORS: "0+1x5 5x80", CONFLICTS: "0+9x90"}),
    (
        "ReconcilesSlow", "40m",
        {SLOW % "10": "0+1x90", SLOW % "30": "0+9x90", SLOW % "+Inf": "0+9x90"},
        {SLOW % "10": "0+9x90", SLOW % "30": "0+9x90", SLOW % "+Inf": "0+9x90"},
    ),
    ("ObjectStalled", "12m", {STALLED: "1x90"}, {STALLED: "1x5 0x85"}),
    ("SourceNotSynced", "17m", {READY: "1x90"}, {READY: "1x10 0x80", DOWN: "1x90"}),
    ("TrainingFailed", "3m", {RUN % "Failed": "1x90"}, {RUN % "Registered": "1x90", RUN % "Failed": "0x90"}),
    ("TrainingFailed", "3m", {RUN % "CriteriaNotMet": "1x90"}, {RUN % "Superseded": "1x90"}),
    ("ReleaseDegraded", "3m", {DEGRADED: "1x90"}, {DEGRADED: "0x90"}),
    # What came after it serves, and the test's outcome stays to be read.
    (
        "SmokeTestFailed", "3m",
        {TEST_FAILED: "1x90", DEGRADED: "1x90"},
        {TEST_FAILED: "1x90", DEGRADED: "0x90"},
    ),
    ("SmokeTestFailed", "3m", {TEST_FAILED: "1x90", DEGRADED: "1x90"}, {TEST_FAILED: "0x90", DEGRADED: "1x90"}),
    ("ReleaseRolledBack", "5m", {ENDED: "0 0 1x88"}, {ENDED: "4x90"}),
    ("ReleaseDown", "4m", {DOWN: "1x90", STABLE: "1x90"}, {DOWN: "1x90", STABLE.replace('"1"', '""'): "1x90"}),
    (
        "ReleaseStuck", "20m",
        {release("release_step_due_timestamp_seconds"): "600x90"},
        {release("release_step_due_timestamp_seconds"): "1000x90"},
    ),
    ("ReleaseUnjudged", "35m", {VERDICT: "1x90", ANALYZING: "1x90"}, {VERDICT: "1x20 0 1x69", ANALYZING: "1x90"}),
    # A release that ended keeps its last verdicts to be read.
    (
        "ReleaseUnjudged", "35m",
        {VERDICT: "0x2 1x88", VERDICT.replace("NoData", "Error"): "1x2 0x88", ANALYZING: "1x90"},
        {VERDICT: "1x90", ANALYZING: "0x90", PROMOTED: "1x90"},
    ),
    # Silence in a bake, at the last move and in a pause is silence; by the deadline it may last for a day in the first.
    (
        "ReleaseUnjudged", "35m",
        {VERDICT: "1x90", BAKING: "1x90", DUE: "3600x90"},
        {VERDICT: "1x90", BAKING: "1x90", DUE: "86400x90"},
    ),
    ("ReleaseUnjudged", "35m", {VERDICT: "1x90", PROMOTING: "1x90"}, {VERDICT: "1x90", PROMOTING: "1x20 0x70"}),
    ("ReleaseUnjudged", "35m", {VERDICT: "1x90", PAUSED: "1x90", DUE: "0x90"}, {VERDICT: "0x90", PAUSED: "1x90"}),
    # One step after the other, never judged.
    (
        "ReleaseUnjudged", "35m",
        {VERDICT: "1x90", ANALYZING: "1x10 0x80", BAKING: "0x10 1x80"},
        {VERDICT: "1x10 0x80", ANALYZING: "1x10 0x80", BAKING: "0x10 1x80"},
    ),
    (
        "ReleaseAwaitsApproval", "25h",
        {release("release_paused_timestamp_seconds"): "0x1600"},
        {release("release_paused_timestamp_seconds"): "7200x1600"},
    ),
    # A pause that ends by itself.
    (
        "ReleaseAwaitsApproval", "25h",
        {release("release_paused_timestamp_seconds"): "0x1600"},
        {
            release("release_paused_timestamp_seconds"): "0x1600",
            release("release_step_due_timestamp_seconds"): "180000x1600",
        },
    ),
    (
        "ReleaseWithoutRoom", "20m",
        {release("release_capacity_missing_timestamp_seconds"): "0x90"},
        {release("release_capacity_missing_timestamp_seconds"): "600x90"},
    ),
]  # fmt: skip


def run(*words: str) -> tuple[int, str]:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_rules_are_sound(promtools: list[str]) -> None:
    for promtool in promtools:
        code, said = run(promtool, "check", "rules", str(ALERTS))
        assert code == 0, said
        assert f"{len(RULES)} rules found" in said


def firing(promtool: str, tmp_path: Path, name: str, at: str, series: Series) -> bool:
    """Return whether an alert fires at a time over these series, and nothing but what it says."""
    written = [{"series": one, "values": values} for one, values in series.items()]
    expr = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
    # promtool says what it found where that differs from what was expected: nothing was.
    case = {"interval": "1m", "input_series": written, "promql_expr_test": [{"expr": expr, "eval_time": at}]}
    path = tmp_path / "case.json"
    path.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [case]}))
    code, said = run(promtool, "test", "rules", str(path))
    assert code == 0 or "ALERTS{" in said, said
    return code != 0


@pytest.mark.parametrize(("name", "at", "bad", "good"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_alert(promtools: list[str], tmp_path: Path, name: str, at: str, bad: Series, good: Series) -> None:
    for promtool in promtools:
        assert firing(promtool, tmp_path, f"Modelops{name}", at, bad)
        assert not firing(promtool, tmp_path, f"Modelops{name}", at, good)


def test_silence_is_heard_in_every_phase_with_a_canary() -> None:
    """A phase that is added has to be put on one side or the other."""
    (expr,) = (rule["expr"] for rule in RULES if rule["alert"] == "ModelopsReleaseUnjudged")
    heard = re.findall(r'phase=~"([^"]+)"', expr)[0].split("|")
    assert set(heard) == set(get_args(Phase)) - {"Pending", "Initial", "Promoted", "Degraded"}


def test_every_alert_has_a_case() -> None:
    assert {f"Modelops{case[0]}" for case in CASES} == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_runbook_is_there(rule: dict[str, Any]) -> None:
    """The line names a heading of a page."""
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = [line.lstrip("# ").lower() for line in (ROOT / page).read_text().splitlines() if line.startswith("#")]

    assert anchor == rule["alert"].lower()
    assert anchor in headings
