"""MetricTemplates: what a metric and a template make together, and what is said where they do not fit."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from modelops.api.kinds import METRICTEMPLATE, MODELRELEASE
from modelops.api.v1alpha1.analysis import ArgumentValue, Metric
from modelops.api.v1alpha1.metrictemplate import MetricTemplateSpec
from modelops.cli.main import cli
from modelops.domain.analysis.templates import applied
from modelops.domain.analysis.verdicts import bound, min_samples
from modelops.reconcile.dependents import Wake, dependents_of
from modelops.reconcile.loop import Loop
from modelops.reconcile.metrictemplate import MetricTemplateReconciler
from tests.unit.release.world import NAME, NAMESPACE, SUCCESS, World

QUERY = 'orders{currency="{{ args.currency }}",revision="{{ .revision }}"}[{{ args.window }}]'
RATE: dict[str, Any] = {
    "args": [{"name": "currency"}, {"name": "window", "default": "1m"}],
    "prometheus": {"query": QUERY, "samplesQuery": 'seen{currency="{{args.currency}}"}'},
    "thresholdRange": {"min": 0.9},
    "minSamples": 100,
}
COUNTED = {"args": [], "prometheus": {"eventsQuery": "e", "samplesQuery": "s"}, "thresholdRange": {"max": 0.1}}
BARE = {"prometheus": {"query": "q"}}
USED = {"template": {"name": "order-rate", "args": {"currency": "chf"}}}
SEQUENTIAL = {"compareTo": {"stable": {"maxRelativeIncrease": 0.1, "test": "sequential"}}}
_FIELD = "spec.analysis.metrics[0]"


def together(metric: dict[str, Any], template: dict[str, Any]) -> Metric:
    """Return what the two make."""
    metric = {"name": "m", **metric}
    return applied(Metric.model_validate(metric), MetricTemplateSpec.model_validate(template))


def refused(tmp_path: Path, metric: dict[str, Any], *templates: dict[str, Any]) -> str:
    """Return what `validate` says of a release and the templates beside it; nothing if all is valid."""
    spec = {
        "model": {"name": "price", "version": "1"},
        "strategy": {"canary": {"steps": [{"setWeight": 50}, {"analyze": {"duration": "1m"}}]}},
        "analysis": {"metrics": [{"name": "m", **metric}]},
    }
    objects = [("ModelRelease", "price", spec), *(("MetricTemplate", "order-rate", one) for one in templates)]
    for kind, name, body in objects:
        about = {"apiVersion": "modelops.dev/v1alpha1", "kind": kind, "metadata": {"name": name}}
        (tmp_path / f"{kind}.yaml").write_text(yaml.safe_dump({**about, "spec": body}))
    found = CliRunner().invoke(cli, ["validate", str(tmp_path)])
    return found.output if found.exit_code else ""


def world(metric: dict[str, Any] | None = None, template: dict[str, Any] | None = RATE) -> World:
    """Return a release that serves version 1 and is judged by a metric with a template."""
    found = World()
    if template is not None:
        put(found, template)
    found.release(analysis={"interval": "10s", "warmUp": "5s", "metrics": [{"name": "m", **(metric or USED)}]})
    found.first()
    return found


def put(found: World, template: dict[str, Any]) -> None:
    """Create or change the template."""
    meta = {"name": "order-rate", "namespace": NAMESPACE}
    found.cluster.put(METRICTEMPLATE.resource, {"metadata": meta, "spec": template})


def asked(found: World, currency: str = "chf", window: str = "1m") -> str:
    """Return the query as Prometheus gets it."""
    return f'orders{{currency="{currency}",revision="{found.status["canary"]["revision"]}"}}[{window}]'


def test_argument_and_default_are_filled_in_and_the_rest_is_the_operators() -> None:
    """Fields of the revision stay for the look."""
    found = together(USED, RATE).prometheus

    assert found is not None
    assert found.query == 'orders{currency="chf",revision="{{ .revision }}"}[1m]'
    assert found.samples_query == 'seen{currency="chf"}'


def test_what_a_metric_says_wins_over_the_default_of_an_argument() -> None:
    """Of its value, as of everything else."""
    used = {"template": {"name": "order-rate", "args": {"currency": "chf", "window": "5m"}}}

    found = together(used, RATE).prometheus

    assert found is not None
    assert found.query is not None
    assert found.query.endswith("[5m]")


@pytest.mark.parametrize(
    ("metric", "words", "samples"),
    [
        pytest.param({}, "≥ 0.9", 100, id="the template's"),
        pytest.param({"thresholdRange": {"max": 7}}, "≤ 7", 100, id="its own range"),
        pytest.param({"successCondition": "result[0] > 1"}, "result[0] > 1", 100, id="its own condition"),
        pytest.param({"minSamples": 5}, "≥ 0.9", 5, id="its own samples"),
        pytest.param(
            {"compareTo": {"stable": {"maxAbsoluteIncrease": 1}}}, "≥ 0.9 and ≤ stable's + 1", 100, id="both stand"
        ),
    ],
)
def test_own_bound_replaces_the_templates(metric: dict[str, Any], words: str, samples: int) -> None:
    """Whole, whatever kind it is of; a comparison stands beside it."""
    found = together({**USED, **metric}, RATE)

    assert (bound(found), min_samples(found)) == (words, samples)


@pytest.mark.parametrize(
    ("metric", "template", "said"),
    [
        pytest.param(
            {"template": {"name": "order-rate"}},
            RATE,
            f"{_FIELD}.template.args: MetricTemplate order-rate needs currency, which has no default; add it",
            id="missing argument",
        ),
        pytest.param(
            {"template": {"name": "order-rate", "args": {"currency": "chf", "windov": "1m"}}},
            RATE,
            f"{_FIELD}.template.args.windov: MetricTemplate order-rate has no such argument; it takes currency, window",
            id="unknown argument",
        ),
        pytest.param(
            USED, BARE, "args.currency: MetricTemplate order-rate has no such argument; it takes none", id="takes none"
        ),
        pytest.param(
            {"template": {"name": "order-rate"}},
            BARE,
            f"{_FIELD}: neither it nor MetricTemplate order-rate has a bound; add thresholdRange",
            id="no bound",
        ),
        pytest.param(
            {"template": {"name": "order-rate"}, "minSamples": 5},
            {**BARE, "thresholdRange": {"min": 1}},
            f"{_FIELD}.minSamples: MetricTemplate order-rate has no samplesQuery",
            id="samples that nobody counts",
        ),
        pytest.param(
            {"template": {"name": "order-rate"}, "aggregate": "max"},
            COUNTED,
            f"{_FIELD}.aggregate: MetricTemplate order-rate counts with eventsQuery",
            id="aggregate of counts",
        ),
        pytest.param(
            {**USED, **SEQUENTIAL},
            RATE,
            f"{_FIELD}.compareTo.stable.test: is for shares and means, and MetricTemplate order-rate has neither "
            "eventsQuery nor squaresQuery; add one there, or use test: threshold",
            id="evidence of a value",
        ),
        pytest.param(
            {"template": {"name": "order-rate"}},
            {**COUNTED, "prometheus": {"query": "{{ args.currency }}"}},
            f"{_FIELD}.template.name: MetricTemplate order-rate cannot be asked: spec.prometheus.query: the query has "
            "'{{ args.currency }}'; known fields are {{ .revision }}",
            id="argument that the template does not name",
        ),
        pytest.param(
            USED,
            {**RATE, "prometheus": {"query": "{{ .revison }}"}, "minSamples": None},
            "{{ args.window }}",
            id="typo",
        ),
        pytest.param({**USED, "builtin": "success-rate"}, RATE, "exactly one of builtin, prometheus", id="both"),
        pytest.param({"template": {"args": {}}}, RATE, f"{_FIELD}.template.name", id="no name"),
        pytest.param(
            USED,
            {**RATE, "thresholdRange": None, "successCondition": "x > 1"},
            "spec.successCondition: condition 'x > 1' uses 'x'",
            id="a condition that is none",
        ),
        pytest.param(USED, {**RATE, "failureCondition": "result[0] < 1"}, "thresholdRange excludes", id="two bounds"),
        pytest.param(USED, {**RATE, "prometheus": {"query": "q"}}, "needs samplesQuery", id="template without samples"),
        pytest.param(USED, {**COUNTED, "aggregate": "max"}, "aggregate is for query", id="template of counts"),
        pytest.param(USED, {**RATE, "args": [{"name": "a"}, {"name": "a"}]}, "spec.args[1]", id="argument twice"),
        pytest.param(USED, {**RATE, "args": [{"name": "a.b"}]}, "spec.args[0].name", id="no name of an argument"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, metric: dict[str, Any], template: dict[str, Any], said: str) -> None:
    """Field and remedy, in one line, before git does."""
    template = {key: value for key, value in template.items() if value is not None}
    assert said in refused(tmp_path, metric, template)


@pytest.mark.parametrize(
    "metric",
    [
        pytest.param(USED, id="the default bound"),
        pytest.param({**USED, "thresholdRange": {"min": 0.5}, "aggregate": "max", "minSamples": 3}, id="all its own"),
    ],
)
def test_what_fits_is_accepted(tmp_path: Path, metric: dict[str, Any]) -> None:
    """Beside its template, and also where that may be in the cluster only."""
    assert refused(tmp_path, metric, RATE) == ""
    (tmp_path / "MetricTemplate.yaml").unlink()
    assert refused(tmp_path, metric) == ""


def test_evidence_gathers_over_a_template_of_counts(tmp_path: Path) -> None:
    """A share is a share, whoever wrote the query."""
    assert refused(tmp_path, {"template": {"name": "order-rate"}, **SEQUENTIAL}, COUNTED) == ""


@pytest.mark.parametrize(
    "value",
    [
        'chf"} or vector(1) or x{a="',
        "chf'",
        "chf`",
        "chf\\",
        "a\nb",
        "{{ .revision }}",
        "1m]) or up[1m",
        "a b",
        "",
        "x" * 254,
    ],
)
def test_value_that_could_end_what_it_stands_in_is_refused(tmp_path: Path, value: str) -> None:
    """At admission, whether a metric gives it or a template by default."""
    given_by = {"template": {"name": "order-rate", "args": {"currency": value}}}
    assert f"{_FIELD}.template.args.currency" in refused(tmp_path, given_by, RATE)
    assert "spec.args[0].default" in refused(tmp_path, USED, {**RATE, "args": [{"name": "currency", "default": value}]})


@given(st.text(max_size=12))
def test_no_value_ends_a_string_or_a_selector(value: str) -> None:
    """Whatever is let through holds no character that PromQL ends a string, a selector or a range by."""
    try:
        TypeAdapter(ArgumentValue).validate_python(value)
    except ValidationError:
        return
    assert not set(value) & set("\"'`\\{}[]()#,= \t\r\n")


def test_release_is_judged_by_the_template() -> None:
    """Query and bound stand in the status as they were used."""
    found = world()
    found.train("2")
    found.settle()
    found.metrics.answers = {asked(found): 0.95, 'seen{currency="chf"}': 200}
    found.settle(20)

    (metric,) = found.status["analysis"]
    assert (metric["query"], metric["bound"]) == (asked(found), "≥ 0.9")
    assert metric["thresholdRange"] == {"min": 0.9}
    assert {one["verdict"] for one in metric["measurements"]} == {"Pass"}


def test_changed_template_counts_at_the_next_look() -> None:
    """What was asked so far stays measured; the next look asks the new query and is held against the new bound."""
    found = world()
    found.train("2")
    found.settle()
    found.metrics.answers = {asked(found): 0.95, asked(found, window="9m"): 0.95, 'seen{currency="chf"}': 200}
    found.settle(16)
    assert found.status["analysis"][0]["passes"] == 1
    new = asked(found, window="9m")

    later = {"args": [{"name": "currency"}, {"name": "window", "default": "9m"}], "thresholdRange": {"min": 0.99}}
    put(found, {**RATE, **later})
    found.settle(10)

    assert found.status["phase"] == "Degraded", found.status
    (metric,) = found.status["analysis"]
    assert (metric["query"], metric["bound"]) == (new, "≥ 0.99")


def test_unknown_template_stalls_the_release_until_it_is_there() -> None:
    """6, flagger#1581: one line with field and remedy; nothing is asked meanwhile."""
    found = World()
    found.release(analysis={"metrics": [{"name": "m", **USED}]})
    found.train("1")
    found.settle()

    line = f"{_FIELD}.template.name: there is no MetricTemplate order-rate in namespace pricing"
    assert found.reason("Stalled") == f"InvalidSpec: {line}; add it, or correct the name"

    put(found, RATE)
    found.settle()

    assert "Stalled" not in found.conditions
    assert found.status["phase"] == "Promoted"


def test_template_that_goes_away_stops_a_canary_and_keeps_it_judged() -> None:
    """No weight rises, a Pass from before counts no more, and what can be asked still rolls back."""
    found = World()
    put(found, RATE)
    found.release(analysis={"interval": "10s", "warmUp": "5s", "metrics": [SUCCESS, {"name": "m", **USED}]})
    found.first()
    revision = found.canary()
    found.metrics.answers |= {asked(found): 0.95, 'seen{currency="chf"}': 200}
    found.settle(16)
    assert [one["passes"] for one in found.status["analysis"]] == [1, 1]

    found.cluster.delete(METRICTEMPLATE.resource, NAMESPACE, "order-rate")
    found.settle(300)

    assert found.reason("Stalled") == found.reason("Ready")
    assert "there is no MetricTemplate order-rate" in found.reason("Stalled")
    assert found.route()[revision] == 20
    assert [one["passes"] for one in found.status["analysis"]] == [31, 1]

    found.answer(value=0.2)
    found.settle(10)

    assert found.route().get(revision, 0) == 0
    assert found.status["history"][-1]["outcome"] == "RolledBack"


def test_template_that_comes_back_lets_the_canary_go_on() -> None:
    """From where it stood."""
    found = world()
    found.train("2")
    found.settle()
    found.metrics.answers = {asked(found): 0.95, 'seen{currency="chf"}': 200}
    found.cluster.delete(METRICTEMPLATE.resource, NAMESPACE, "order-rate")
    found.settle(60)
    assert found.status["weight"] == 20

    put(found, RATE)
    found.settle(300)

    assert (found.status["phase"], found.status["stable"]["version"]) == ("Promoted", "2")


@pytest.mark.parametrize(("verb", "serves"), [("abort", "1"), ("promote", "2")])
def test_human_may_end_what_a_template_stopped(verb: str, serves: str) -> None:
    """Their word needs no metric."""
    found = world()
    found.train("2")
    found.settle()
    found.cluster.delete(METRICTEMPLATE.resource, NAMESPACE, "order-rate")
    found.settle(10)

    found.command(verb, full=True) if verb == "promote" else found.command(verb)
    found.settle(60)

    assert (found.status["stable"]["version"], found.status.get("canary")) == (serves, None)


def test_release_is_woken_by_its_templates_only() -> None:
    """Those of its namespace that one of its metrics names."""
    found = world()
    releases = found.cluster.list(MODELRELEASE.resource, None)

    def woken(name: str, namespace: str) -> list[Wake]:
        template = {"metadata": {"name": name, "namespace": namespace, "uid": "t"}, "spec": RATE}
        return list(
            dependents_of(
                METRICTEMPLATE.resource, template, lambda kind: releases if kind == MODELRELEASE.resource else ()
            )
        )

    assert woken("order-rate", NAMESPACE) == [Wake(MODELRELEASE, (NAMESPACE, NAME))]
    assert woken("other", NAMESPACE) == []
    assert woken("order-rate", "other") == []


@pytest.mark.parametrize(
    ("template", "status", "reason", "message"),
    [
        pytest.param(RATE, "True", "Accepted", "takes currency, window (by default 1m)", id="with arguments"),
        pytest.param(BARE, "True", "Accepted", "takes no arguments", id="without"),
        pytest.param(
            {"prometheus": {"query": "{{ args.x }}"}},
            "False",
            "InvalidSpec",
            "spec.prometheus.query: the query has '{{ args.x }}'; known fields are {{ .revision }}, {{ .release }}, "
            "{{ .namespace }}, {{ .cluster }}, {{ .window }}, {{ .version }}",
            id="an argument that it does not name",
        ),
    ],
)
def test_template_says_whether_it_can_be_asked(
    template: dict[str, Any], status: str, reason: str, message: str
) -> None:
    """Before any release asks it."""
    found = World()
    put(found, template)

    Loop(MetricTemplateReconciler(), found.ports).reconcile((NAMESPACE, "order-rate"))

    stored = found.cluster.get(METRICTEMPLATE.resource, NAMESPACE, "order-rate")
    assert stored is not None
    ready = next(one for one in stored["status"]["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"], ready["message"]) == (status, reason, message)
