"""Queries: fields are filled in, nothing of a user's object can widen them."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from modelops import config as configuration
from modelops.domain.analysis.flavours import figures_of
from modelops.domain.analysis.latency import bucket_for
from modelops.domain.analysis.queries import Subject, fill
from modelops.errors import Stalled

SUBJECT = Subject("pricing", "price", "abc123")


def test_fields_are_filled_in() -> None:
    """The four documented fields, with or without blanks."""
    found = fill('x{r="{{ .revision }}",n="{{.namespace}}"}[{{ .window }}]', SUBJECT, timedelta(minutes=1))
    assert found == 'x{r="abc123",n="pricing"}[60000ms]'


def test_unknown_field_is_refused() -> None:
    """A misspelt field is an error, not an empty string."""
    with pytest.raises(Stalled, match="known fields are"):
        fill("{{ .revison }}", SUBJECT, timedelta(minutes=1))


def test_unknown_gateway_is_refused() -> None:
    """Figures that nobody knows how to read stall the release."""
    with pytest.raises(Stalled, match="use one of: envoy, envoy-gateway, istio, nginx"):
        figures_of(replace(SUBJECT, gateway="haproxy"))


VALUES = json.loads((Path(__file__).parents[3] / "charts" / "modelops" / "values.schema.json").read_text())


@pytest.mark.parametrize("gateway", VALUES["properties"]["gateway"]["properties"]["figures"]["enum"])
def test_each_of_the_charts_figures_is_read(monkeypatch: pytest.MonkeyPatch, gateway: str) -> None:
    """What the chart takes the operator takes, and has queries for."""
    monkeypatch.setenv("MODELOPS_GATEWAY_FIGURES", gateway)
    config = configuration.load({"MODELOPS_GATEWAY_FIGURES": gateway})

    assert "price-abc123" in figures_of(replace(SUBJECT, gateway=config.gateway_figures)).samples(timedelta(minutes=1))


@pytest.mark.parametrize(
    ("more", "cluster"),
    [
        pytest.param({}, "pricing_price-abc123", id="the local home's"),
        pytest.param({"gateway": "envoy-gateway"}, "service/pricing/price-abc123/80/http", id="Envoy Gateway's"),
        pytest.param(
            {"gateway": "envoy-gateway", "mirrored": True},
            "httproute/pricing/price/rule/0-mirror-0",
            id="Envoy Gateway's for copies",
        ),
        pytest.param({"mirrored": True}, "pricing_price-abc123", id="the local home's for copies"),
    ],
)
def test_backend_is_named_as_its_gateway_does(more: dict[str, Any], cluster: str) -> None:
    """Envoy Gateway merges the backends of rules, not those of mirrors."""
    assert f'envoy_cluster_name="{cluster}"' in figures_of(replace(SUBJECT, **more)).buckets(timedelta(minutes=1))


@pytest.mark.parametrize(
    ("slo", "bounds", "expected"),
    [
        pytest.param(0.5, ("100", "500", "1000", "+Inf"), "500", id="the bound itself"),
        pytest.param(0.6, ("100", "500", "1000", "+Inf"), "500", id="a doubtful request counts as slow"),
        pytest.param(0.5, (), None, id="no histogram yet"),
    ],
)
def test_bucket(slo: float, bounds: tuple[str, ...], expected: str | None) -> None:
    """The largest bound not above the SLO."""
    assert bucket_for(slo, bounds) == expected


def test_slo_below_every_bucket_is_an_error() -> None:
    """What cannot be told apart is not guessed."""
    with pytest.raises(ValueError, match="no bucket at or below"):
        bucket_for(0.01, ("100", "+Inf"))


def test_bounds_in_two_spellings_are_an_error() -> None:
    """After an upgrade to Prometheus 3 either spelling has a part of the requests only."""
    with pytest.raises(ValueError, match="spelt in two ways"):
        bucket_for(0.5, ("100", "500", "100.0", "500.0", "+Inf"))


@pytest.mark.parametrize("gateway", ["envoy", "envoy-gateway", "istio", "nginx", "server"])
def test_name_that_could_end_the_selector_is_refused(gateway: str) -> None:
    """Names are DNS labels; anything else never reaches Prometheus."""
    with pytest.raises(Stalled):
        figures_of(Subject('a"} or x{b="', "price", "abc", gateway))
