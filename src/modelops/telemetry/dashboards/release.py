"""The dashboard of one release: how far it is, why it waits, how its canary does beside stable."""

from typing import Final

from modelops.telemetry.dashboards import gateway
from modelops.telemetry.dashboards.panels import (
    Json,
    Panel,
    Query,
    dashboard,
    figure,
    lines,
    named,
    quantile,
    states,
    table,
    variable,
)

_THIS: Final = 'namespace="$namespace", name="$release"'
_METRIC: Final = f'{_THIS}, metric=~"$metric"'
_SERVER: Final = 'namespace="$namespace", release="$release"'
_PHASES: Final = {
    "Analyzing": "blue", "Progressing": "light-blue", "Promoting": "semi-dark-green", "Promoted": "green",
    "Paused": "yellow", "Degraded": "red", "Baking": "orange", "Pending": "text", "Initial": "light-green",
}  # fmt: skip
_TESTS: Final = {"Running": "blue", "Passed": "green", "Failed": "red"}
_VERDICTS: Final = {"Pass": "green", "Fail": "red", "NoData": "yellow", "Error": "purple"}


def _now(name: str) -> str:
    return f"modelops_release_{name}{{{_THIS}}}"


def _figures() -> tuple[Panel, ...]:
    return (
        named("Phase", Query(f"{_now('phase')} == 1", "{{phase}}")),
        figure("Weight of the canary", _now("weight_ratio"), unit="percentunit"),
        figure("Steps done", f"{_now('step')} / {_now('steps')}", unit="percentunit"),
        figure("In this step since", f"time() - {_now('step_started_timestamp_seconds')}", unit="s"),
        figure(
            "Paused since",
            f"time() - {_now('paused_timestamp_seconds')}",
            unit="s",
            what="How long it has waited for a human; nothing while it does not.",
        ),
        named("Last outcome", Query(f"{_now('last_outcome')} == 1", "{{outcome}}")),
    )


def _course() -> tuple[Panel, ...]:
    return (
        states(
            "Phase over time",
            Query(_now("phase"), "{{phase}}"),
            colours=_PHASES,
            height=9,
            what="Which phase it was in when.",
        ),
        lines(
            "Weight",
            Query(_now("weight_ratio"), "confirmed by the gateway"),
            Query(_now("desired_weight_ratio"), "wanted"),
            unit="percentunit",
            height=9,
            defaults={"min": 0, "max": 1, "custom": {"lineInterpolation": "stepAfter"}},
        ),
        lines(
            "Step",
            Query(_now("step"), "step"),
            Query(_now("steps"), "steps"),
            height=6,
            defaults={"min": 0, "custom": {"lineInterpolation": "stepAfter"}},
        ),
        lines(
            "Waiting",
            Query(f"time() - {_now('step_started_timestamp_seconds')}", "in this step"),
            Query(f"time() - {_now('paused_timestamp_seconds')}", "paused"),
            Query(f"time() - {_now('capacity_missing_timestamp_seconds')}", "without room"),
            Query(f"{_now('eta_timestamp_seconds')} - time()", "to its end, as it expects"),
            Query(f"time() - {_now('step_due_timestamp_seconds')} > 0", "overdue"),
            unit="s",
            height=6,
        ),
        table(
            "Versions",
            Query(_now("info"), "is"),
            hidden=("is", "namespace", "name"),
            height=4,
            what="Of the stable revision and of the canary.",
        ),
        table(
            "Outcomes",
            Query(f"{_now('outcome_timestamp_seconds')} * 1000", "last"),
            hidden=("namespace", "name"),
            height=4,
            unit="dateTimeAsIso",
            what="When a revision last ended so.",
        ),
    )


def _smoke_test() -> tuple[Panel, ...]:
    return (
        states(
            "Smoke test",
            Query(_now("smoke_test_outcome"), "{{outcome}}"),
            colours=_TESTS,
            height=6,
            what="What the golden requests to a new revision come to, before it gets any of the users'.",
        ),
        lines(
            "Slowest answers to golden requests",
            Query(_now("golden_request_seconds"), "{{request}}"),
            Query(_now("golden_request_max_seconds"), "maxLatency"),
            unit="s",
            height=6,
        ),
        table(
            "Golden requests",
            Query(f"sum by (request) ({_now('golden_request_expected')})", "as expected"),
            Query(f"sum by (request) ({_now('golden_request_seconds')})", "seconds"),
            height=6,
            what="Of the last test: 1 if the answer was as expected, and how long the slowest one took.",
        ),
        lines(
            "Memory of the tested server",
            Query(_now("smoke_test_memory_bytes"), "memory"),
            Query(_now("smoke_test_max_memory_bytes"), "maxMemory"),
            unit="bytes",
            height=6,
            what="Only where maxMemory is set.",
        ),
    )


def _analysis() -> tuple[Panel, ...]:
    return (
        lines(
            "Value against its bounds",
            Query(f"modelops_analysis_value{{{_METRIC}}}", "{{metric}}"),
            Query(f"modelops_analysis_stable_value{{{_METRIC}}}", "{{metric}} of stable"),
            Query(f"modelops_analysis_bound{{{_METRIC}}}", "{{metric}} {{side}} bound"),
            height=9,
            what="Nothing is drawn for a look without an answer.",
        ),
        states(
            "Verdicts",
            Query(f"modelops_analysis_verdict{{{_METRIC}}}", "{{metric}} {{verdict}}"),
            colours=_VERDICTS,
            height=9,
        ),
        lines(
            "Evidence of all looks",
            Query(f"modelops_analysis_evidence{{{_METRIC}}}", "{{metric}}"),
            Query(f"modelops_analysis_evidence_alarm{{{_METRIC}}}", "{{metric}} alarm"),
            defaults={"custom": {"scaleDistribution": {"type": "log", "log": 10}}},
            what="Of test: sequential. 1 says nothing; at the alarm the canary is rolled back.",
        ),
        lines("Samples behind a verdict", Query(f"modelops_analysis_samples{{{_METRIC}}}", "{{metric}}")),
        table(
            "What the metrics come to",
            Query(f"sum by (metric, outcome) (modelops_analysis_outcome{{{_METRIC}}} == 1)", "is"),
            Query(f"sum by (metric) (modelops_analysis_failures{{{_METRIC}}})", "failed looks"),
            Query(f"min by (metric) (time() - modelops_analysis_look_timestamp_seconds{{{_METRIC}}})", "seconds since"),
            hidden=("is",),
            what="Outcome, failed looks, seconds since the last look.",
        ),
    )


def _traffic() -> tuple[Panel, ...]:
    served = f"rate(modelops_server_requests_total{{{_SERVER}}}[$__rate_interval])"
    return (
        *gateway.panels(),
        lines(
            "Requests at the servers",
            Query(f"sum by (revision, code) ({served})", "{{revision}} {{code}}"),
            unit="reqps",
        ),
        lines(
            "Latency at the servers, p99",
            Query(
                quantile(0.99, "revision", "modelops_server_request_duration_seconds", _SERVER), "{{revision}} whole"
            ),
            Query(quantile(0.99, "revision", "modelops_server_model_duration_seconds", _SERVER), "{{revision}} model"),
            unit="s",
        ),
        lines(
            "Servers",
            Query(f"sum by (revision) (modelops_server_ready{{{_SERVER}}})", "{{revision}} ready"),
            Query(f"sum by (revision) (modelops_server_in_flight_requests{{{_SERVER}}})", "{{revision}} in flight"),
            Query(
                f"sum by (revision) (increase(modelops_server_nonfinite_outputs_total{{{_SERVER}}}[$__rate_interval]))",
                "{{revision}} answers that are not finite",
            ),
        ),
    )


def release() -> Json:
    """Return the dashboard."""
    chosen = [
        variable("namespace", "Namespace", "label_values(modelops_release_phase, namespace)"),
        variable("release", "Release", 'label_values(modelops_release_phase{namespace="$namespace"}, name)'),
        variable("metric", "Metric", f"label_values(modelops_analysis_verdict{{{_THIS}}}, metric)", several=True),
    ]
    panels = (*_figures(), *_course(), *_smoke_test(), *_analysis(), *_traffic())
    return dashboard("modelops-release", "modelops / Release", chosen, panels)
