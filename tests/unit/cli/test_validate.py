"""`modelops validate`: every problem at once, each with file, line, object, field, reason."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from modelops.cli.main import cli

ROOT = Path(__file__).parents[3]
GOOD = (ROOT / "examples" / "digits" / "v1" / "modelrelease.yaml").read_text()


def run(*paths: Path) -> tuple[int, str]:
    found = CliRunner().invoke(cli, ["validate", *map(str, paths)])
    return found.exit_code, found.output


@pytest.mark.parametrize("example", ["digits", "real-estate"])
def test_examples_are_valid(example: str) -> None:
    """What people copy has no problem."""
    assert run(ROOT / "examples" / example / "v1")[0] == 0


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        pytest.param("setWeight: 20", "setWeight: 200", 12, "steps[0].setWeight", id="out of range"),
        pytest.param("setWeight: 20", "setWeight: high", 12, "steps[0].setWeight", id="wrong type"),
        pytest.param("builtin: success-rate", "builtin: sucess", 20, 'supported values: "success-rate"', id="enum"),
        pytest.param("minSamples: 50, failureLimit: 0", "minSampels: 5", 20, "unknown field", id="unknown field"),
        pytest.param("from: {trainingRun: digits}", "version: '1', alias: a", 6, "exactly one of", id="CEL rule"),
        pytest.param("interval: 2s", "interval: 2ms", 17, "spec.analysis.interval", id="too short"),
        pytest.param(
            "thresholdRange: {min: 0.99}", "successCondition: 'result >'", 20, "result[0] >= 0.95", id="condition"
        ),
        pytest.param("kind: ModelRelease", "kind: ModelReleas", 3, "is not known", id="unknown kind"),
        pytest.param("replicas: 1", "replicas: 1, replicas: 2", 7, "replicas", id="duplicate key"),
        pytest.param("metadata: {name: digits}", "metadata: {name: digits", 5, "broken YAML", id="broken YAML"),
    ],
)
def test_problem_is_named(tmp_path: Path, before: str, after: str, line: int, said: str) -> None:
    """Where, what, what to do."""
    assert before in GOOD
    path = tmp_path / "release.yaml"
    path.write_text(GOOD.replace(before, after, 1))
    code, output = run(path)
    assert code == 1
    problem = next(text for text in output.splitlines() if said in text)
    where = problem.removeprefix(f"{path}:").partition(":")[0]
    assert abs(int(where) - line) <= 1, problem


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Two files, three problems, one run; an object given twice is one of them."""
    (tmp_path / "a.yaml").write_text(GOOD.replace("setWeight: 20", "setWeight: 101"))
    (tmp_path / "b.yaml").write_text(GOOD.replace("setWeight: 50", "setWeight: 102"))
    code, output = run(tmp_path)
    assert code == 1
    assert "3 problems in 2 objects" in output
    assert "is also in" in output


def test_missing_path_is_one_line(tmp_path: Path) -> None:
    """No traceback."""
    found = CliRunner().invoke(cli, ["validate", str(tmp_path / "none")])
    assert found.exit_code != 0
    assert "no such file or directory" in str(found.exception) + found.output


RELEASE = """
apiVersion: modelops.dev/v1alpha1
kind: ModelRelease
metadata: {name: price}
spec:
  model: {name: price, version: "2"}
  analysis: {metrics: [{name: a, builtin: success-rate, thresholdRange: {min: 0.9}}]}
  strategy: %s
"""


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        pytest.param("{}", "exactly one of canary", id="no strategy"),
        pytest.param(
            "{shadow: {duration: 1m}, canary: {steps: [{setWeight: 5}]}}", "exactly one of canary", id="two strategies"
        ),
        pytest.param("{shadow: {duration: 1m, percent: 0}}", "percent", id="no copies"),
        pytest.param("{abTest: {duration: 1m, match: []}}", "abTest.match", id="nobody matches"),
        pytest.param("{abTest: {duration: 1m, match: [{exact: b}]}}", "one of header and cookie", id="no name"),
        pytest.param("{abTest: {duration: 1m, match: [{header: X-A}]}}", "one of exact and regex", id="no value"),
        pytest.param(
            "{abTest: {duration: 1m, match: [{header: X-A, exact: b, regex: b}]}}",
            "one of exact and regex",
            id="two values",
        ),
        pytest.param(
            "{abTest: {duration: 1m, match: [{cookie: {name: a}, exact: b}]}}", "below cookie", id="value beside cookie"
        ),
        pytest.param("{abTest: {duration: 1m, match: [{header: 'X A', exact: b}]}}", "header", id="no header's name"),
        pytest.param(
            "{canary: {steps: [{setWeight: 5, setMirror: {percent: 5}}]}}", "a step is exactly one", id="two in a step"
        ),
        pytest.param("{abTest: {duration: 1m, match: [{header: X-A, regex: 'a(?=b)'}]}}", "RE2", id="not RE2"),
    ],
)
def test_strategy_without_sense_is_refused(tmp_path: Path, strategy: str, said: str) -> None:
    """By the schema, its rules, or what no schema can say."""
    path = tmp_path / "release.yaml"
    path.write_text(RELEASE % strategy)
    code, output = run(path)
    assert code == 1
    assert said in output


@pytest.mark.parametrize(
    "strategy",
    [
        "{abTest: {duration: 1h, minSamples: 500, match: [{header: X-A, regex: 'b+'}, {cookie: {name: c, exact: d}}]}}",
        "{shadow: {duration: 1h}}",
        "{canary: {steps: [{setHeaderRoute: {name: a, match: [{header: X, exact: b}]}}, {setWeight: 5}]}}",
        "{canary: {steps: [{setMirror: {percent: 5}}, {setMirror: {percent: 0}}, {setWeight: 5}]}}",
    ],
)
def test_strategies_are_valid(tmp_path: Path, strategy: str) -> None:
    """As the pages show them."""
    path = tmp_path / "release.yaml"
    path.write_text(RELEASE % strategy)
    assert run(path) == (0, run(path)[1])
