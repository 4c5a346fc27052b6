"""Asks Prometheus for one metric of a canary, and of stable where they are compared.

Whatever goes wrong is a reading too: an Error, never a number.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelops.api.v1alpha1.analysis import DEFAULT_QUANTILE, Metric, PrometheusQuery
from modelops.domain.analysis.drift import drift
from modelops.domain.analysis.flavours import figures_of
from modelops.domain.analysis.labelled import AGE, LabelledErrors, of_equal_age
from modelops.domain.analysis.latency import bucket_for, quantile_of, require_one_spelling
from modelops.domain.analysis.means import Moments, moments
from modelops.domain.analysis.queries import SHORTEST_WINDOW, Figures, Subject, asks_window, fill
from modelops.domain.analysis.server_figures import ServerFigures, answers_by_bin
from modelops.domain.analysis.split import Requests
from modelops.domain.analysis.verdicts import (
    Counts,
    Reading,
    has_bounds,
    is_drift,
    is_mean,
    is_sequential,
    min_samples,
)
from modelops.errors import ModelopsError
from modelops.ports import Series
from modelops.reconcile.bundle import Ports


def read_metric(
    metric: Metric,
    subject: Subject,
    ports: Ports,
    *,
    stable: Subject | None = None,
    interval: timedelta,
    step: timedelta,
    now: datetime,
    since: datetime | None = None,
    began: datetime | None = None,
) -> Reading:
    """Return what Prometheus says of one metric.

    Args:
        metric: what is asked.
        subject: whose figures.
        ports: Prometheus.
        stable: whose figures a comparison is made with; None on the first release.
        interval: the window of a look.
        step: the time since figures count for this weight; the window when the interval holds too few samples, also of
            own queries, if a longer window asks them about more.
        now: the time of the answer.
        since: from when on a test sequential counts; by default one interval ago.
        began: when the canary got its first requests, for labels that tell their age; None: long ago.
    """
    if is_drift(metric):
        return Reading() if stable is None else _drifted((subject, stable), ports, step, now)
    windows = interval, step
    if metric.compare_to is None or stable is None:
        return _read(metric, subject, ports, windows, now)[0]
    if not is_sequential(metric):
        return _side_by_side(metric, (subject, stable), ports, windows, now)
    reading = _read(metric, subject, ports, windows, now)[0] if has_bounds(metric) else Reading()
    if reading.error is not None:
        return reading
    return _counted(reading, metric, (subject, stable), ports, (since or now - interval, now), began)


def count_requests(canary: Subject, stable: Subject, ports: Ports, since: datetime, now: datetime) -> Requests:
    """Return how many requests the gateway counted of both; nothing where it does not say so of both.

    A canary without series may never have had a request; stable has had some, unless nobody asks its gateway.
    """
    nothing = Requests(since, since)
    if now - since < SHORTEST_WINDOW:
        return nothing
    try:
        queries = (figures_of(subject).samples(now - since) for subject in (canary, stable))
        mine, others = (_values(ports, query, now) for query in queries)
    except ModelopsError:
        # Whoever is away is an Error of the metrics that are asked beside it.
        return nothing
    if len(mine) > 1 or len(others) != 1 or not all(map(math.isfinite, mine + others)):
        return nothing
    return Requests(since, now, sum(mine), sum(others))


def _read(
    metric: Metric, subject: Subject, ports: Ports, windows: tuple[timedelta, timedelta], now: datetime
) -> tuple[Reading, timedelta]:
    """Return what one side answers, and over which window: the first, or the second where that has too few samples."""
    (window, longest), query, samples = windows, "", None
    try:
        asked = _questions(metric, subject, ports, now)
        number = _number if asked.value else _count
        if asked.samples is not None:
            query = asked.samples(window)
            samples = number(ports, query, now)
            if samples < min_samples(metric) and longest > window and asked.widens:
                window, query = longest, asked.samples(longest)
                samples = number(ports, query, now)
        if asked.value is not None:
            query = asked.value(window)
            found = ports.metrics.query(query, now)
            return Reading(query, asked.values(found), samples), window
        assert asked.events is not None
        query = asked.events(window)
        events = _count(ports, query, now)
        return Reading(query, (events / samples,) if samples else (), samples), window
    except ModelopsError as error:
        return Reading(query, error=error.message), window
    except ValueError as error:
        return Reading(query, error=str(error)), window


def _side_by_side(
    metric: Metric, subjects: tuple[Subject, Subject], ports: Ports, windows: tuple[timedelta, timedelta], now: datetime
) -> Reading:
    """Return what both sides answer of the same time: where one needs the longer window, the other has it, too."""
    canary, stable = subjects
    reading, window = _read(metric, canary, ports, windows, now)
    other, needed = _read(metric, stable, ports, (window, windows[1]), now)
    if needed > window:
        reading, _ = _read(metric, canary, ports, (needed, needed), now)
    return replace(reading, stable=other)


def _counted(
    reading: Reading,
    metric: Metric,
    subjects: tuple[Subject, Subject],
    ports: Ports,
    span: tuple[datetime, datetime],
    began: datetime | None,
) -> Reading:
    """Return the reading with what canary and stable counted since the last look that counted."""
    (since, now), query, sides = span, reading.query, []
    if now - since < SHORTEST_WINDOW:
        # A longer one would count again what was counted before.
        return reading
    try:
        for subject in subjects:
            asked, seen = _side(metric, subject, ports, now - since, now)
            query = query or asked
            sides.append(seen)
        pairs = of_equal_age(*sides, began=began, since=since)
    except ModelopsError as error:
        return Reading(query, error=f"{'stable: ' if sides else ''}{error.message}")
    except ValueError as error:
        return Reading(query, error=f"{'stable: ' if sides else ''}{error}")
    return replace(reading, query=query, counts=Counts.of(since, now, pairs))


def _side(
    metric: Metric, subject: Subject, ports: Ports, window: timedelta, now: datetime
) -> tuple[str, Mapping[str, Moments]]:
    """Return the query for what was bad, and what one side counted in the window; of a mean by age, if it is any.

    Raises:
        ValueError: an answer is no count, or those of a mean do not fit each other.
    """
    events, samples = _counters(metric, subject, ports, window, now)
    if not is_mean(metric):
        bad = _count(ports, events, now, _unless_counted(metric))
        return events, {"": Moments(_count(ports, samples, now), bad)}
    by_age: list[dict[str, float]]
    if metric.prometheus is not None:
        squares = fill(metric.prometheus.squares_query or "", subject, window)
        by_age = [{"": _count(ports, query, now)} for query in (samples, events, squares)]
    else:
        questions = LabelledErrors(subject).by_age(window)
        by_age = [{one.labels.get(AGE, ""): one.value for one in ports.metrics.query(one, now)} for one in questions]
    found = {age: moments(*(answer.get(age, 0.0) for answer in by_age)) for age in by_age[0]}
    return events, {age: side for age, side in found.items() if side.count}


def _drifted(subjects: tuple[Subject, Subject], ports: Ports, step: timedelta, now: datetime) -> Reading:
    """Return how far canary and stable are apart, by all of their answers since figures count for this weight."""
    query, sides = "", []
    try:
        for subject in subjects:
            asked = answers_by_bin(subject, step)
            query = query or asked
            sides.append({one.labels.get("bin", ""): _sound(one.value) for one in ports.metrics.query(asked, now)})
    except ModelopsError as error:
        return Reading(query, error=f"{'stable: ' if sides else ''}{error.message}")
    except ValueError as error:
        return Reading(query, error=f"{'stable: ' if sides else ''}{error}")
    samples, stable_samples = (round(sum(side.values())) for side in sides)
    values = (drift(*sides),) if samples and stable_samples else ()
    return Reading(query, values, samples, stable=Reading(samples=stable_samples))


def _unless_counted(metric: Metric) -> str:
    """Return what it means that nobody counts a metric's events; nothing: there were none."""
    return f"no server has answered with class {metric.class_!r}" if metric.builtin == "class-share" else ""


def _counters(metric: Metric, subject: Subject, ports: Ports, window: timedelta, now: datetime) -> tuple[str, str]:
    """Return the queries for how many samples were bad in the window, or their sum, and how many there were."""
    asked = _questions(metric, subject, ports, now)
    assert asked.events is not None
    assert asked.samples is not None
    return asked.events(window), asked.samples(window)


def _each(found: Sequence[Series]) -> tuple[float, ...]:
    return tuple(series.value for series in found)


@dataclass(frozen=True, slots=True)
class _Questions:
    """The queries of a metric, by window."""

    value: Callable[[timedelta], str] | None
    """None: it is what events are of samples."""
    events: Callable[[timedelta], str] | None
    """None: it is no share and no mean."""
    samples: Callable[[timedelta], str] | None
    """None: nobody counts them."""
    widens: bool = True
    """Whether a longer window asks about more."""
    values: Callable[[Sequence[Series]], tuple[float, ...]] = _each
    """What the answer to `value` says."""


def _own(own: PrometheusQuery, subject: Subject) -> _Questions:
    def filled(query: str | None) -> Callable[[timedelta], str] | None:
        return None if query is None else lambda window: fill(query, subject, window)

    events, samples = own.events_query or own.sum_query, own.samples_query
    widens = asks_window(own.query or events or "") and asks_window(samples or "")
    return _Questions(filled(own.query), filled(events), filled(samples), widens)


def _questions(metric: Metric, subject: Subject, ports: Ports, now: datetime) -> _Questions:
    if metric.prometheus is not None:
        return _own(metric.prometheus, subject)
    match metric.builtin:
        case (
            "nonfinite-share"
            | "missing-input-share"
            | "unknown-category-share"
            | "saturation"
            | "constant-share"
            | "class-share"
        ):
            server = ServerFigures(subject, metric.builtin, metric.class_ or "")
            return _Questions(server.value, server.events, server.samples)
        case "success-rate":
            figures = figures_of(subject)
            return _Questions(figures.success_rate, figures.failures, figures.samples)
        case "client-error-share":
            figures = figures_of(subject)
            return _Questions(figures.client_error_share, figures.client_errors, figures.samples)
        case "slow-share":
            figures = figures_of(subject)
            return _Questions(
                lambda window: figures.slow_share(window, _bucket(metric, figures, ports, window, now)),
                lambda window: figures.slow(window, _bucket(metric, figures, ports, window, now)),
                figures.slow_samples,
            )
        case "latency":
            return _latency(metric, figures_of(subject), ports, now)
        case "labelled-error":
            labels = LabelledErrors(subject)
            return _Questions(labels.value, labels.total, labels.samples)
        case "prediction-drift" | "answer-difference" | None:
            raise ValueError("the metric asks nothing")


def _latency(metric: Metric, figures: Figures, ports: Ports, now: datetime) -> _Questions:
    def asked(window: timedelta) -> str:
        require_one_spelling(_bounds(figures, ports, window, now))
        return figures.by_bucket(window)

    def values(found: Sequence[Series]) -> tuple[float, ...]:
        buckets = {series.labels.get("le", ""): series.value for series in found}
        seconds = quantile_of(buckets, metric.quantile or DEFAULT_QUANTILE, figures.second)
        return () if seconds is None else (seconds,)

    return _Questions(asked, None, figures.slow_samples, values=values)


def _bucket(metric: Metric, figures: Figures, ports: Ports, window: timedelta, now: datetime) -> str | None:
    return bucket_for(metric.slo or 0.0, _bounds(figures, ports, window, now), figures.second)


def _bounds(figures: Figures, ports: Ports, window: timedelta, now: datetime) -> tuple[str, ...]:
    found = ports.metrics.query(figures.buckets(window), now)
    return tuple(series.labels["le"] for series in found if series.labels.get("le"))


def _values(ports: Ports, query: str, now: datetime) -> tuple[float, ...]:
    return _each(ports.metrics.query(query, now))


def _count(ports: Ports, query: str, now: datetime, unless: str = "") -> float:
    """Return the one number a query answers, where no series are 0, or mean something else.

    Raises:
        ValueError: the answer is no count; it must not look like no failures.
    """
    values = _values(ports, query, now)
    if not values and unless:
        raise ValueError(unless)
    if len(values) > 1:
        raise ValueError(f"{len(values)} series of a count; add them up in the query")
    return _sound(values[0]) if values else 0.0


def _sound(count: float) -> float:
    if not math.isfinite(count):
        raise ValueError(f"a count is {count:g}")
    return count


def _number(ports: Ports, query: str, now: datetime) -> float:
    """Return the one number a query answers; nothing, or not a number, is no samples."""
    values = _values(ports, query, now)
    return values[0] if len(values) == 1 and not math.isnan(values[0]) else 0.0
