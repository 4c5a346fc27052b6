"""Asks Prometheus for one metric of a canary, and of stable where they are compared.

Whatever goes wrong is a reading too: an Error, never a number.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.drift import drift
from modelops.domain.analysis.flavours import figures_of
from modelops.domain.analysis.labelled import AGE, LabelledErrors, of_equal_age
from modelops.domain.analysis.means import Moments, moments
from modelops.domain.analysis.queries import SHORTEST_WINDOW, Figures, Subject, bucket_for, fill
from modelops.domain.analysis.server_figures import ServerFigures, answers_by_bin
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
        step: the time since figures count for this weight; the window when the interval holds too few samples.
        now: the time of the answer.
        since: from when on a test sequential counts; by default one interval ago.
        began: when the canary got its first requests, for labels that tell their age; None: long ago.
    """
    if is_drift(metric):
        return Reading() if stable is None else _drifted((subject, stable), ports, step, now)
    if metric.compare_to is None or stable is None:
        return _read(metric, subject, ports, interval, step, now)
    if not is_sequential(metric):
        reading = _read(metric, subject, ports, interval, step, now)
        return replace(reading, stable=_read(metric, stable, ports, interval, step, now))
    reading = _read(metric, subject, ports, interval, step, now) if has_bounds(metric) else Reading()
    if reading.error is not None:
        return reading
    return _counted(reading, metric, (subject, stable), ports, (since or now - interval, now), began)


def _read(
    metric: Metric, subject: Subject, ports: Ports, interval: timedelta, step: timedelta, now: datetime
) -> Reading:
    query = ""
    try:
        if metric.prometheus is not None and metric.prometheus.query is not None:
            query = fill(metric.prometheus.query, subject, interval)
            samples = None
            if metric.prometheus.samples_query is not None:
                samples = _number(ports, fill(metric.prometheus.samples_query, subject, interval), now)
            return Reading(query, _values(ports, query, now), samples)
        if metric.prometheus is not None:
            query, count = _counters(metric, subject, ports, interval, now)
            events, samples = _count(ports, query, now), _count(ports, count, now)
            return Reading(query, (events / samples,) if samples else (), samples)
        asked = _builtin(metric, subject, ports, now)
        window, samples = interval, _number(ports, asked.samples(interval), now)
        if samples < min_samples(metric) and step > interval:
            window, samples = step, _number(ports, asked.samples(step), now)
        query = asked.value(window)
        return Reading(query, _values(ports, query, now), samples)
    except ModelopsError as error:
        return Reading(query, error=error.message)
    except ValueError as error:
        return Reading(query, error=str(error))


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
    own = metric.prometheus
    if own is not None:
        events = own.events_query or own.sum_query or ""
        return fill(events, subject, window), fill(own.samples_query or "", subject, window)
    asked = _builtin(metric, subject, ports, now)
    return asked.events(window), asked.samples(window)


@dataclass(frozen=True, slots=True)
class _Builtin:
    """The queries of a built-in, by window."""

    value: Callable[[timedelta], str]
    events: Callable[[timedelta], str]
    samples: Callable[[timedelta], str]


def _builtin(metric: Metric, subject: Subject, ports: Ports, now: datetime) -> _Builtin:
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
            return _Builtin(server.value, server.events, server.samples)
        case "success-rate":
            figures = figures_of(subject)
            return _Builtin(figures.success_rate, figures.failures, figures.samples)
        case "client-error-share":
            figures = figures_of(subject)
            return _Builtin(figures.client_error_share, figures.client_errors, figures.samples)
        case "slow-share":
            figures = figures_of(subject)
            return _Builtin(
                lambda window: figures.slow_share(window, _bucket(metric, figures, ports, window, now)),
                lambda window: figures.slow(window, _bucket(metric, figures, ports, window, now)),
                figures.slow_samples,
            )
        case "labelled-error":
            labels = LabelledErrors(subject)
            return _Builtin(labels.value, labels.total, labels.samples)
        case "prediction-drift" | None:
            raise ValueError("the metric asks nothing")


def _bucket(metric: Metric, figures: Figures, ports: Ports, window: timedelta, now: datetime) -> str | None:
    found = ports.metrics.query(figures.buckets(window), now)
    bounds = tuple(series.labels["le"] for series in found if series.labels.get("le"))
    return bucket_for(metric.slo or 0.0, bounds, figures.second)


def _values(ports: Ports, query: str, now: datetime) -> tuple[float, ...]:
    return tuple(series.value for series in ports.metrics.query(query, now))


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
