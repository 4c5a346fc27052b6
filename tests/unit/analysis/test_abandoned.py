"""Requests that nobody answered, as counted from Envoy's counters and gauges: asked of Prometheus' own promtool.

Values are of one scrape a second, from 0 on; None is a scrape that was not there, "stale" one that failed.
"""

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from modelops.domain.analysis.queries import EnvoyFigures, Subject

SUBJECT = Subject("pricing", "price", "abc")
Values = Sequence[int | str | None]
Envoys = Mapping[str, tuple[Values, Values, Values]]
"""By instance: upstream_rq_total, _completed, _active."""


def series(envoys: Envoys) -> list[dict[str, str]]:
    """Return what Prometheus has of these; all that was completed was answered well."""
    found = []
    for instance, (total, completed, active) in envoys.items():
        own = f'envoy_cluster_name="{SUBJECT.cluster}", instance="{instance}"'
        more = {"total": total, "completed": completed, "active": active}
        written = {f"{name}{{{own}}}": values for name, values in more.items()}
        written |= {f'xx{{{own}, envoy_response_code_class="2"}}': completed}
        for name, values in written.items():
            text = " ".join("_" if one is None else str(one) for one in values)
            found.append({"series": f"envoy_cluster_upstream_rq_{name}", "values": text})
    return found


def require_failures(
    promtools: Iterable[str], directory: Path, envoys: Envoys, window: int, expected: Mapping[int, int]
) -> None:
    """Ask at each second for how many requests failed in a window of seconds before it."""
    query = EnvoyFigures(SUBJECT).failures(timedelta(seconds=window))
    asked = [
        {"expr": query, "eval_time": f"{at}s", "exp_samples": [{"labels": "{}", "value": value}]}
        for at, value in expected.items()
    ]
    case = {"interval": "1s", "input_series": series(envoys), "promql_expr_test": asked}
    path = directory / "case.json"
    path.write_text(json.dumps({"rule_files": [], "evaluation_interval": "1s", "tests": [case]}))
    for promtool in promtools:
        done = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_request_that_ends_during_the_first_scrape_ever_is_not_abandoned(promtools: list[str], tmp_path: Path) -> None:
    """The gateway came back: its first figures have a request in the one family and in neither of the others."""
    gone: Values = [17] * 5 + ["stale"]
    away: Values = [None] * 30
    back = {"b": ([*away, 13, *[24] * 9], [*away, 12, *[24] * 9], [*away, *[0] * 10])}
    before = {"a": (gone, gone, [0] * 5 + ["stale"])}
    for window in (1, 4):
        require_failures(promtools, tmp_path, {**before, **back}, window, dict.fromkeys(range(30, 40), 0))


def test_requests_that_a_young_envoy_has_abandoned_are_counted_once(promtools: list[str], tmp_path: Path) -> None:
    """Once three readings are there, which is a reading later than of an old one."""
    envoys = {"a": ([None] * 10 + [13] * 20, [None] * 10 + [8] * 20, [None] * 10 + [0] * 20)}
    require_failures(promtools, tmp_path, envoys, 4, {10: 0, 14: 5, 18: 0, 22: 0})
    require_failures(promtools, tmp_path, envoys, 1, {**dict.fromkeys(range(10, 30), 0), 13: 5})


def test_what_was_abandoned_before_envoy_started_again_is_no_failure(promtools: list[str], tmp_path: Path) -> None:
    """In its place, with counters at 0: readings from before are of another life."""
    envoys = {"a": ([1005] * 20 + [3] * 20, [1000] * 20 + [3] * 20, [0] * 40)}
    for window in (1, 4):
        require_failures(promtools, tmp_path, envoys, window, dict.fromkeys(range(15, 40), 0))


def test_what_was_abandoned_after_it_started_again_is(promtools: list[str], tmp_path: Path) -> None:
    envoys = {"a": ([1005] * 20 + [3] * 20, [1000] * 20 + [1] * 20, [0] * 40)}
    require_failures(promtools, tmp_path, envoys, 4, {16: 0, 20: 0, 24: 2, 28: 0, 32: 0})


def test_another_envoy_brings_nothing_back(promtools: list[str], tmp_path: Path) -> None:
    """Each is counted by itself: one that goes hides nothing of the other, and one that comes begins at none."""
    old: tuple[Values, Values, Values] = (
        [1005] * 20 + ["stale"], [1000] * 20 + ["stale"], [0] * 20 + ["stale"],
    )  # fmt: skip
    new = ([None] * 18 + [10] * 6 + [12] * 16, [None] * 18 + [10] * 22, [None] * 18 + [0] * 22)
    require_failures(promtools, tmp_path, {"a": old, "b": new}, 4, {16: 0, 20: 0, 24: 0, 28: 2, 32: 0, 36: 0})


@pytest.mark.parametrize("window", [3, 4, 8])
def test_scrape_that_fails_makes_no_failures_of_old_ones(promtools: list[str], tmp_path: Path, window: int) -> None:
    """What was abandoned long ago stays where it was."""

    def interrupted(value: int) -> Values:
        return [value] * 20 + ["stale"] + [value] * 20

    envoys = {"a": (interrupted(1005), interrupted(1000), interrupted(0))}
    # At second 20 there are no figures at all.
    require_failures(promtools, tmp_path, envoys, window, dict.fromkeys((*range(15, 20), *range(21, 41)), 0))


def test_scrapes_further_apart_than_readings_make_no_failures_of_old_ones(promtools: list[str], tmp_path: Path) -> None:
    """Prometheus scrapes every 15 s, a metric is looked at every 10."""

    def scraped(value: int) -> Values:
        return [value if at % 15 == 0 else None for at in range(120)]

    envoys = {"a": (scraped(1005), scraped(1000), scraped(0))}
    require_failures(promtools, tmp_path, envoys, 10, dict.fromkeys(range(60, 120), 0))
