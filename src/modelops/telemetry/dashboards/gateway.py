"""Panels of a release's requests at the gateway, by revision: of whichever gateway's figures there are."""

from dataclasses import dataclass
from typing import Final

from modelops.telemetry.dashboards.panels import Panel, Query, lines, quantile


@dataclass(frozen=True, slots=True)
class _Gateway:
    """What a gateway counts; names as the built-ins of modelops.domain.analysis ask for them."""

    by: str
    """The label that names a revision's backend."""
    match: str
    """Of the release."""
    sent: str
    ended: tuple[str, str]
    """Metric, and what to match besides."""
    failed: tuple[str, str]
    took: str = ""
    """A histogram of milliseconds; none where there is none."""

    def rate(self, metric: str, more: str = "") -> str:
        """Return the query for how many a second."""
        return f"sum by ({self.by}) (rate({metric}{{{self.match}{more}}}[$__rate_interval]))"


_ENVOY: Final = "envoy_cluster_upstream_rq"
_NGINX: Final = "nginx_http_upstream_peer"
_GATEWAYS: Final = (
    _Gateway(
        "envoy_cluster_name",
        'envoy_cluster_name=~"${namespace}_${release}-[0-9a-z]+|service/${namespace}/${release}-[0-9a-z]+/80/http|'
        'httproute/${namespace}/${release}/rule/0-mirror-0"',
        f"{_ENVOY}_total",
        (f"{_ENVOY}_completed", ""),
        (f"{_ENVOY}_xx", ', envoy_response_code_class="5"'),
        f"{_ENVOY}_time",
    ),
    _Gateway(
        "destination_service",
        'reporter="source", destination_service=~"${release}-[0-9a-z]+[.]${namespace}[.]svc[.].+"',
        "istio_requests_total",
        ("istio_requests_total", ""),
        ("istio_requests_total", ', response_code=~"5.."'),
        "istio_request_duration_milliseconds",
    ),
    _Gateway(
        "nginx_upstream_name",
        'nginx_upstream_name=~"${namespace}_${release}-[0-9a-z]+_80"',
        f"{_NGINX}_requests_total",
        (f"{_NGINX}_responses_total", ', nginx_status_range=~"[1-5]xx"'),
        (f"{_NGINX}_responses_total", ', nginx_status_range="5xx"'),
    ),
)


def panels() -> tuple[Panel, ...]:
    """Return the panels."""
    sent = (Query(one.rate(one.sent), f"{{{{{one.by}}}}}") for one in _GATEWAYS)
    failed = (Query(f"{one.rate(*one.failed)} / {one.rate(*one.ended)}", f"{{{{{one.by}}}}}") for one in _GATEWAYS)
    took = (
        Query(quantile(share, one.by, one.took, one.match), f"{{{{{one.by}}}}} {share}")
        for one in _GATEWAYS
        if one.took
        for share in (0.5, 0.99)
    )
    return (
        lines("Requests at the gateway", *sent, unit="reqps"),
        lines("Share of 5xx at the gateway", *failed, unit="percentunit"),
        lines("Latency at the gateway, p50 and p99", *took, unit="ms"),
    )
