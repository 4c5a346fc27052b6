"""The overview: what the operator does, what waits for a human, and what releases are made from."""

from typing import Final

from modelops.telemetry.dashboards.panels import Json, Panel, Query, dashboard, figure, lines, states, table, variable

_HERE: Final = 'namespace=~"$namespace"'
_ATTEMPTS: Final = {"Succeeded": "green", "Running": "blue", "Pending": "text", "Failed": "red", "Error": "purple"}


def _operator() -> tuple[Panel, ...]:
    duration = "sum by (kind, le) (rate(modelops_reconcile_duration_seconds_bucket[$__rate_interval]))"
    return (
        figure("Leaders", "sum(modelops_leader)", what="1; the other replicas stand by."),
        figure(
            "Releases under way", f"count(modelops_release_canary_started_timestamp_seconds{{{_HERE}}}) or vector(0)"
        ),
        figure("Releases paused", f'sum(modelops_release_phase{{{_HERE}, phase="Paused"}})'),
        figure("Releases degraded", f'sum(modelops_release_phase{{{_HERE}, phase="Degraded"}})'),
        figure("Stalled objects", f'sum(modelops_condition{{{_HERE}, type="Stalled", status="True"}}) or vector(0)'),
        figure("Sources behind", f"sum(modelops_gitsource_applied{{{_HERE}}} == bool 0)"),
        lines(
            "Reconciles",
            Query("sum by (kind) (rate(modelops_reconcile_duration_seconds_count[$__rate_interval]))", "{{kind}}"),
            unit="ops",
        ),
        lines(
            "Reconciles that failed",
            Query(
                "sum by (kind, reason) (rate(modelops_reconcile_errors_total[$__rate_interval]))", "{{kind}} {{reason}}"
            ),
            unit="ops",
        ),
        lines("Duration of a reconcile, p99", Query(f"histogram_quantile(0.99, {duration})", "{{kind}}"), unit="s"),
        lines(
            "Silence of the watches",
            Query("time() - (modelops_watch_last_event_timestamp_seconds > 0)", "{{resource}}"),
            unit="s",
        ),
        lines(
            "Watches that began anew",
            Query("sum by (resource) (increase(modelops_watch_lists_total[$__rate_interval]))", "{{resource}}"),
        ),
        lines(
            "Outcomes of releases",
            Query(
                f"sum by (outcome) (increase(modelops_release_outcomes_total{{{_HERE}}}[1h]))", "{{outcome}} in an hour"
            ),
        ),
    )


def _objects() -> tuple[Panel, ...]:
    return (
        table(
            "Releases",
            Query(f"sum by (namespace, name, phase) (modelops_release_phase{{{_HERE}}} == 1)", "is"),
            Query(f"sum by (namespace, name) (modelops_release_weight_ratio{{{_HERE}}})", "weight"),
            height=9,
            unit="percentunit",
            hidden=("is",),
            what="Phase, and the canary's share of the traffic.",
        ),
        table(
            "What is not ready",
            Query(
                f'sum by (kind, namespace, name) (modelops_condition{{{_HERE}, type="Ready", status!="True"}} == 1)',
                "is",
            ),
            hidden=("is",),
            height=9,
        ),
        states(
            "Attempts",
            Query(f"modelops_attempt_phase{{{_HERE}}}", "{{kind}} {{name}} {{phase}}"),
            colours=_ATTEMPTS,
            what="Workflows of Datasets and TrainingRuns.",
        ),
        table(
            "Training",
            Query(f"sum by (namespace, name, outcome) (modelops_trainingrun_last_outcome{{{_HERE}}} == 1)", "is"),
            Query(f"sum by (namespace, name) (modelops_trainingrun_registered_version{{{_HERE}}})", "version"),
            Query(f"sum by (namespace, name) (modelops_trainingrun_test_looks{{{_HERE}}})", "test looks"),
            Query(
                f"min by (namespace, name) (time() - modelops_trainingrun_last_outcome_timestamp_seconds{{{_HERE}}})",
                "seconds since",
            ),
            hidden=("is",),
            what="How the last attempt ended, last version registered, looks at the test part, seconds since the end.",
        ),
        table(
            "Data",
            Query(f"sum by (namespace, name) (modelops_dataset_rows{{{_HERE}}})", "rows"),
            Query(f"sum by (namespace, name) (modelops_dataset_quarantined_rows{{{_HERE}}})", "quarantined rows"),
            Query(f"sum by (namespace, name) (modelops_dataset_bytes{{{_HERE}}})", "bytes"),
            what="Rows, quarantined rows, bytes.",
        ),
        lines("Rows of each part", Query(f"modelops_dataset_split_rows{{{_HERE}}}", "{{name}} {{part}}")),
        table(
            "Sources",
            Query(f"sum by (namespace, name) (modelops_gitsource_objects{{{_HERE}}})", "objects"),
            Query(
                f"min by (namespace, name) (time() - modelops_gitsource_revision_timestamp_seconds{{{_HERE}}})",
                "age of the commit",
            ),
            what="Objects, and the age of the last commit here in seconds.",
        ),
        lines(
            "Age of running attempts",
            Query(
                f"(time() - modelops_attempt_started_timestamp_seconds{{{_HERE}}}) and on (kind, namespace, name) "
                f'modelops_attempt_phase{{{_HERE}, phase=~"Pending|Running"}} == 1',
                "{{kind}} {{name}}",
            ),
            unit="s",
        ),
    )


def operator() -> Json:
    """Return the dashboard."""
    chosen = [variable("namespace", "Namespace", "label_values(modelops_condition, namespace)", several=True)]
    return dashboard("modelops-operator", "modelops / Operator", chosen, (*_operator(), *_objects()))
