"""Figures in the shape of gateways that cannot run here: Istio's proxies, NGINX Plus below NGINX Gateway Fabric."""

import http.server
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_BOUNDS: Final = (
    "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000", "60000", "300000",
    "600000", "1800000", "3600000", "+Inf",
)  # fmt: skip
_RANGES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")


class Series:
    """Counters and gauges by their text, `name{label="value",…}`, served as Prometheus reads them."""

    def __init__(self) -> None:
        self.values: defaultdict[str, float] = defaultdict(float)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def target(self) -> str:
        """Where to read them."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def add(self, name: str, labels: dict[str, str], by: float) -> None:
        """Add to a series."""
        labelled = ",".join(f'{key}="{value}"' for key, value in labels.items())
        self.values[f"{name}{{{labelled}}}"] += by

    def forget(self, part: str) -> None:
        """Begin anew with every series whose text has a part: its process was restarted."""
        for text in [text for text in self.values if part in text]:
            self.values[text] = 0

    def page(self) -> bytes:
        """Return them as they are."""
        return "".join(f"{name} {value}\n" for name, value in self.values.copy().items()).encode()

    def stop(self) -> None:
        """Serve no longer."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        series = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(series.page())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


@dataclass(frozen=True, slots=True)
class Request:
    """One request, or several alike, as a gateway saw it end."""

    code: int = 200
    """0: its client gave up before there was an answer."""
    flags: str = "-"
    """Envoy's response flags."""
    took: float = 10
    """Milliseconds."""
    times: int = 1


@dataclass(slots=True)
class Istio:
    """What Istio's proxies report: labels and bounds as its istio_stats filter and its Envoy write them."""

    series: Series
    namespace: str

    def ended(self, service: str, requests: Iterable[Request], *, reporter: str = "source") -> None:
        """Count requests to a Service, as the gateway or the server's own proxy does."""
        for one in requests:
            # Who answered is known only where somebody did.
            answered = not {"UF", "UH"} & set(one.flags.split(","))
            labels = {
                "reporter": reporter,
                "source_workload": "modelops-istio",
                "source_workload_namespace": "modelops-system",
                "destination_workload": service if answered else "unknown",
                "destination_workload_namespace": self.namespace if answered else "unknown",
                "destination_service": f"{service}.{self.namespace}.svc.cluster.local",
                "destination_service_name": service,
                "destination_service_namespace": self.namespace if answered else "unknown",
                "request_protocol": "http",
                "response_code": str(one.code),
                "grpc_response_status": "",
                "response_flags": one.flags,
                "connection_security_policy": "unknown",
            }
            self.series.add("istio_requests_total", labels, one.times)
            duration = "istio_request_duration_milliseconds"
            for bound in _BOUNDS:
                self.series.add(f"{duration}_bucket", {**labels, "le": bound}, one.times * (one.took <= float(bound)))
            self.series.add(f"{duration}_sum", labels, one.times * one.took)
            self.series.add(f"{duration}_count", labels, one.times)


@dataclass(slots=True)
class Nginx:
    """What NGINX Agent reports of an upstream's peers: names as its OpenTelemetry exporter writes them."""

    series: Series
    namespace: str

    def sent(self, service: str, times: int = 1, *, peer: str = "10.0.0.1:8080") -> None:
        """Requests are on their way to a server."""
        labels = self._labels(service, peer)
        self.series.add("nginx_http_upstream_peer_requests_total", labels, times)
        self.series.add("nginx_http_upstream_peer_connection_count_connections", labels, times)
        for status in ("", *_RANGES):
            self._responses(labels, status, 0)

    def ended(self, service: str, requests: Iterable[Request], *, peer: str = "10.0.0.1:8080") -> None:
        """Of those on their way some have ended; code 0 is no answer."""
        labels = self._labels(service, peer)
        for one in requests:
            self.series.add("nginx_http_upstream_peer_connection_count_connections", labels, -one.times)
            for status in ("", f"{one.code // 100}xx") if one.code else ():
                self._responses(labels, status, one.times)

    def _responses(self, labels: dict[str, str], status: str, times: int) -> None:
        # The total has the label too, with nothing in it.
        self.series.add("nginx_http_upstream_peer_responses_total", {**labels, "nginx_status_range": status}, times)

    def _labels(self, service: str, peer: str) -> dict[str, str]:
        upstream = f"{self.namespace}_{service}_80"
        return {
            "nginx_peer_address": peer,
            "nginx_peer_name": peer,
            "nginx_upstream_name": upstream,
            "nginx_zone_name": upstream,
        }
