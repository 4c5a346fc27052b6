"""`modelops analyze`: every tick and verdict, the outcome, an exit code for each; bad files in one clear line."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Done, call

RELEASE = """\
apiVersion: modelops.dev/v1alpha1
kind: ModelRelease
metadata: {name: price}
spec:
  model: {name: price, version: "2"}
  strategy: {canary: {steps: [{setWeight: 50}, {analyze: {duration: 20s}}]}}
  analysis:
    interval: 10s
    warmUp: 0s
    metrics:
    - {name: success-rate, builtin: success-rate, thresholdRange: {min: 0.95}, minSamples: 50}
"""
TWO = """\
    - {name: drift, prometheus: {query: d}, compareTo: {stable: {maxRelativeIncrease: 0.5}}}
"""


def play(tmp_path: Path, replay: Any, *more: str, release: str = RELEASE) -> Done:
    """Return what the program says of a release and a replay."""
    manifest, answers = tmp_path / "release.yaml", tmp_path / "metrics.json"
    manifest.write_text(release)
    if isinstance(replay, bytes):
        answers.write_bytes(replay)
    else:
        answers.write_text(replay if isinstance(replay, str) else json.dumps(replay))
    return call("analyze", "-f", str(manifest), "--replay", str(answers), *more)


def ticks(*answers: Any) -> dict[str, Any]:
    """Return a replay with a tick every 10 seconds."""
    return {"ticks": [{"t": 10 * n, "metrics": {"success-rate": one}} for n, one in enumerate(answers, 1)]}


@pytest.mark.parametrize(
    ("answers", "outcome", "at", "code"),
    [
        pytest.param([0.99, 0.99], "Promoted", 20, 0, id="promoted"),
        pytest.param([0.99, 0.5], "RolledBack", 20, 3, id="rolled back"),
        pytest.param([0.99, None, "NaN", []], "Holding", 40, 4, id="holding"),
        pytest.param([{"error": "away"}, 0.99], "Promoted", 20, 0, id="an error, then good"),
        pytest.param([{"value": 0.5, "samples": 3}], "Holding", 10, 4, id="too few samples"),
        pytest.param([{"value": 0.5, "samples": 50}], "RolledBack", 10, 3, id="enough samples"),
        pytest.param([{"value": None, "samples": 50}], "Holding", 10, 4, id="no value"),
        pytest.param([[0.99, 0.1]], "Holding", 10, 4, id="two series"),
        pytest.param([["+Inf"]], "Holding", 10, 4, id="one series in a list"),
    ],
)
def test_outcome_and_exit_code(tmp_path: Path, answers: list[Any], outcome: str, at: int, code: int) -> None:
    """JSON as promised: outcome, when, why, and every tick."""
    done = play(tmp_path, ticks(*answers), "-o", "json")
    found = json.loads(done.out)
    assert (found["outcome"], found["at"], done.code) == (outcome, at, code)
    assert set(found) == {"outcome", "at", "reason", "ticks"}
    assert found["reason"]
    for tick in found["ticks"]:
        assert set(tick) == {"t", "weight", "metrics"}
        assert set(tick["metrics"]["success-rate"]) == {"verdict", "value", "reason"}


def test_pause_is_an_outcome(tmp_path: Path) -> None:
    """What waits for a human at the end is Paused since the tick that paused it."""
    release = RELEASE + "    noDataPolicy: Pause\n"
    done = play(tmp_path, ticks(0.99, None, 0.99), "-o", "json", release=release)
    found = json.loads(done.out)
    assert (found["outcome"], found["at"], found["reason"], done.code) == (
        "Paused",
        20,
        "NoData: success-rate: no series",
        4,
    )


def test_people_get_a_line_for_every_tick_and_metric(tmp_path: Path) -> None:
    """What is assumed comes first, the outcome last."""
    replay = {
        "ticks": [{"t": 10, "metrics": {"success-rate": 0.99, "drift": {"value": 3, "stable": 1, "stableSamples": 9}}}]
    }
    done = play(tmp_path, replay, release=RELEASE + TWO)
    assert done.lines[0].startswith("assumed: servers are ready")
    assert done.lines[1].split() == ["TIME", "WEIGHT", "METRIC", "VERDICT", "VALUE", "REASON"]
    assert done.lines[3].split()[:5] == ["10s", "0%", "drift", "Fail", "3"]
    assert done.lines[-1] == "RolledBack at 10s: drift is 3 against ≤ 1.5 (stable 1)"


TEMPLATED = """\
    - {name: orders, template: {name: rate, args: {currency: chf}}}
---
apiVersion: modelops.dev/v1alpha1
kind: MetricTemplate
metadata: {name: rate}
spec:
  args: [{name: currency}]
  prometheus: {query: 'orders{currency="{{ args.currency }}"}'}
  thresholdRange: {min: 0.9}
"""


def test_template_of_the_same_file_is_played(tmp_path: Path) -> None:
    """By its bound; one that is not there is told, as nothing could be played."""
    replay = {"ticks": [{"t": 10, "metrics": {"success-rate": 0.99, "orders": 0.5}}]}

    done = play(tmp_path, replay, release=RELEASE + TEMPLATED)
    alone = play(tmp_path, replay, release=RELEASE + TEMPLATED.partition("---")[0])

    assert done.lines[-1] == "RolledBack at 10s: orders is 0.5 against ≥ 0.9"
    where = tmp_path / "release.yaml"
    assert alone.code == 1
    assert alone.err.splitlines()[0] == (
        f"{where}:12: ModelRelease/price: spec.analysis.metrics[1].template.name: there is no MetricTemplate rate in "
        f"{where}; add it, or correct the name"
    )


@pytest.mark.parametrize(
    ("replay", "said"),
    [
        pytest.param("", "line 1, column 1: is not JSON", id="empty"),
        pytest.param('{"ticks": [', "is not JSON", id="cut off"),
        pytest.param(b"\xff\xfe", "is not UTF-8 text", id="not UTF-8"),
        pytest.param("[" * 100_000, "nests too deep", id="nested"),
        pytest.param("[]", "must be an object with one field, ticks", id="a list"),
        pytest.param({"ticks": []}, "at least one tick", id="no ticks"),
        pytest.param({"ticks": [3]}, "ticks[0] must be an object", id="a tick that is none"),
        pytest.param({"ticks": [{"t": 1}]}, "ticks[0] must be an object with the fields t and metrics", id="a field"),
        pytest.param({"ticks": [{"t": "1", "metrics": {}}]}, "ticks[0].t must be seconds", id="a time in quotes"),
        pytest.param({"ticks": [{"t": True, "metrics": {}}]}, "ticks[0].t must be seconds", id="true is no time"),
        pytest.param({"ticks": [{"t": -1, "metrics": {}}]}, "ticks[0].t must be seconds", id="before the beginning"),
        pytest.param({"ticks": [{"t": 1e300, "metrics": {}}]}, "at most ten years", id="the end of time"),
        pytest.param(
            {"ticks": [{"t": 5, "metrics": {}}, {"t": 5, "metrics": {}}]}, "ticks[1].t is 5, not later", id="not rising"
        ),
        pytest.param({"ticks": [{"t": 1, "metrics": []}]}, "ticks[0].metrics must be an object", id="metrics"),
        pytest.param(
            {"ticks": [{"t": 1, "metrics": {"sucess-rate": 1}}]}, "did you mean 'success-rate'?", id="unknown metric"
        ),
        pytest.param(ticks("high"), "ticks[0].metrics.success-rate must be a number", id="a word"),
        pytest.param(ticks(*[True]), "must be a number", id="true"),
        pytest.param(ticks([0.1, "x"]), "success-rate[1] must be a number", id="a word in a list"),
        pytest.param(ticks({"valu": 1}), "did you mean 'value'?", id="unknown field"),
        pytest.param(ticks({"samples": 1}), "has no value; it may be null", id="no value"),
        pytest.param(ticks({"value": 1, "samples": -1}), "samples must be a number of samples", id="samples"),
        pytest.param(ticks({"value": 1, "stableSamples": 1}), "stableSamples but no stable", id="stableSamples"),
        pytest.param(ticks({"error": 3}), '{"error": "text"} and nothing else', id="an error that is no text"),
        pytest.param('{"ticks": [{"t": 1, "metrics": {"success-rate": NaN}}]}', "write NaN in quotes", id="bare NaN"),
        pytest.param('{"ticks": [], "ticks": []}', "has the field 'ticks' twice", id="a field twice"),
        pytest.param('{"ticks": [{"t": 1, "metrics": {"success-rate": 1e999}}]}', "must be a number", id="too large"),
        pytest.param('{"ticks": ' + "9" * 5000 + "}", "is not JSON", id="five thousand digits"),
    ],
)
def test_bad_replay_is_one_clear_line(tmp_path: Path, replay: Any, said: str) -> None:
    """File, place, what to do; exit 1, no traceback."""
    done = play(tmp_path, replay)
    assert done.code == 1
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    assert f"{tmp_path / 'metrics.json'}: " in done.err
    assert said in done.err


def test_missing_files_are_named(tmp_path: Path) -> None:
    """Which one, and why."""
    (tmp_path / "release.yaml").write_text(RELEASE)
    done = call("analyze", "-f", str(tmp_path / "release.yaml"), "--replay", str(tmp_path / "none.json"))
    assert (done.code, done.err) == (
        1,
        f"modelops: {tmp_path / 'none.json'}: cannot be read: No such file or directory\n",
    )
    done = call("analyze", "-f", str(tmp_path / "none.yaml"), "--replay", str(tmp_path / "none.json"))
    assert (done.code, done.err) == (1, f"modelops: {tmp_path / 'none.yaml'}: no such file or directory\n")


def test_manifest_must_hold_one_valid_release(tmp_path: Path) -> None:
    """What `validate` refuses is not played, and of two releases none is."""
    done = play(tmp_path, ticks(0.99), release=RELEASE.replace("setWeight: 50", "setWeight: 500"))
    assert done.code == 1
    assert "spec.strategy.canary.steps[0].setWeight" in done.err
    second = RELEASE.replace("name: price}", "name: other}", 1)
    done = play(tmp_path, ticks(0.99), release=f"{RELEASE}---\n{second}")
    assert (done.code, "holds 2 ModelReleases" in done.err) == (1, True)
