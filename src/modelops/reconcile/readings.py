"""Asks Prometheus for one metric of a canary, and of stable where they are compared.

Whatever goes wrong is a reading too: an Error, never a number.
"""

import math
from dataclasses import replace
from datetime import datetime, timedelta

from modelops.api.v1alpha1.analysis import Metric
from modelops.domain.analysis.queries import EnvoyFigures, Subject, bucket_for, figures_of, fill
from modelops.domain.analysis.verdicts import Reading, min_samples
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
) -> Reading:
    """Return what Prometheus says of one metric.

    Args:
        metric: what is asked.
        subject: whose figures.
        ports: Prometheus and the settings.
        stable: whose figures a comparison is made with; None on the first release.
        interval: the window of a look.
        step: the time since figures count for this weight; the window when the interval holds too few samples.
        now: the time of the answer.
    """
    reading = _read(metric, subject, ports, interval, step, now)
    if metric.compare_to is None or stable is None:
        return reading
    return replace(reading, stable=_read(metric, stable, ports, interval, step, now))


def _read(
    metric: Metric, subject: Subject, ports: Ports, interval: timedelta, step: timedelta, now: datetime
) -> Reading:
    query = ""
    try:
        if metric.prometheus is not None:
            query = fill(metric.prometheus.query, subject, interval)
            samples = None
            if metric.prometheus.samples_query is not None:
                samples = _number(ports, fill(metric.prometheus.samples_query, subject, interval), now)
            return Reading(query, _values(ports, query, now), samples)
        figures = figures_of(ports.settings.gateway_figures, subject)
        count = figures.slow_samples if metric.builtin == "slow-share" else figures.samples
        window, samples = interval, _number(ports, count(interval), now)
        if samples < min_samples(metric) and step > interval:
            window, samples = step, _number(ports, count(step), now)
        query = _builtin(metric, figures, window, ports, now)
        return Reading(query, _values(ports, query, now), samples)
    except ModelopsError as error:
        return Reading(query, error=error.message)
    except ValueError as error:
        return Reading(query, error=str(error))


def _builtin(metric: Metric, figures: EnvoyFigures, window: timedelta, ports: Ports, now: datetime) -> str:
    if metric.builtin == "success-rate":
        return figures.success_rate(window)
    if metric.builtin == "client-error-share":
        return figures.client_error_share(window)
    bounds = tuple(
        series.labels["le"] for series in ports.metrics.query(figures.buckets(), now) if series.labels.get("le")
    )
    return figures.slow_share(window, bucket_for(metric.slo or 0.0, bounds))


def _values(ports: Ports, query: str, now: datetime) -> tuple[float, ...]:
    return tuple(series.value for series in ports.metrics.query(query, now))


def _number(ports: Ports, query: str, now: datetime) -> float:
    """Return the one number a query answers; nothing, or not a number, is no samples."""
    values = _values(ports, query, now)
    return values[0] if len(values) == 1 and not math.isnan(values[0]) else 0.0
