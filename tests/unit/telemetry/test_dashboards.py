"""The dashboards are what was generated, and every query of theirs, and of the alerts, finds series."""

import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args

import pytest
import urllib3
import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from modelops.api.kinds import MODELRELEASE
from modelops.api.v1alpha1.modelrelease import Phase
from modelops.domain.analysis.istio_figures import IstioFigures
from modelops.domain.analysis.nginx_figures import NginxFigures
from modelops.domain.analysis.queries import EnvoyFigures, Figures, Subject
from modelops.errors import Stalled
from modelops.reconcile.loop import Outcome
from modelops.server.metrics import ServerMetrics
from modelops.telemetry.dashboards.__main__ import rendered
from modelops.telemetry.dashboards.panels import SCHEMA_VERSION
from tests.support.exporters import Istio, Nginx, Request, Series
from tests.support.gateway import free_port
from tests.support.prometheus import programs
from tests.unit.release.world import NAMESPACE
from tests.unit.telemetry.estate import estate, walked

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "charts" / "modelops" / "files" / "alerts.yaml"
BOARDS: dict[str, dict[str, Any]] = {Path(path).stem: json.loads(text) for path, text in rendered().items()}
ANSWERS = (Request(times=9), Request(500))
PANEL_TYPES = {"timeseries", "stat", "state-timeline", "table"}
_SELECTOR = re.compile(r"\b(?:(?:modelops|envoy)_\w+|up)(?:\{[^}]*\})?")
RULES = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"][0]["rules"]


def queries(board: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (panel, expression) of every query."""
    return [(panel["title"], target["expr"]) for panel in board["panels"] for target in panel["targets"]]


PANELS = [(name, title, expr) for name, board in BOARDS.items() for title, expr in queries(board)]
VARIABLES = [
    (name, one["query"]["query"])
    for name, board in BOARDS.items()
    for one in board["templating"]["list"]
    if one["type"] == "query"
]
SELECTORS = sorted({(rule["alert"], found) for rule in RULES for found in _SELECTOR.findall(rule["expr"])})


class Envoy:
    """The figures of a gateway that the dashboards ask for, under Envoy's names."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "envoy_cluster_upstream_rq"
        self.total = Counter(name, "Started.", ["envoy_cluster_name"], registry=self.registry)
        self.completed = Gauge(f"{name}_completed", "Ended.", ["envoy_cluster_name"], registry=self.registry)
        self.classes = Gauge(
            f"{name}_xx", "By class.", ["envoy_cluster_name", "envoy_response_code_class"], registry=self.registry
        )
        self.times = Histogram(f"{name}_time", "Milliseconds.", ["envoy_cluster_name"], registry=self.registry)

    def answered(self, cluster: str) -> None:
        self.total.labels(cluster).inc(10)
        self.completed.labels(cluster).inc(10)
        self.classes.labels(cluster, "5").inc()
        self.times.labels(cluster).observe(20)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Return where each Prometheus is that has scraped an operator, servers and a gateway a few times."""
    installed = programs()
    if not installed:
        pytest.skip("prometheus is not installed; `make setup` brings it")
    operator, envoy = estate(), Envoy()
    releases = walked()
    revision = str(releases["analyzing"]["status"]["canary"]["revision"])
    server = ServerMetrics("analyzing", revision)
    server.ready.set(1)
    others = Series()
    istio, nginx = Istio(others, NAMESPACE), Nginx(others, NAMESPACE)
    pages = {
        "/operator": lambda: generate_latest(operator.registry),
        "/envoy": lambda: generate_latest(envoy.registry),
        "/server": server.render,
        "/others": others.page,
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(pages[self.path]())
            # Something happens between two scrapes.
            operator.reconciled(MODELRELEASE, Outcome(None, error="ApiAway"), 0.1)
            server.answered(200, 0.02)
            server.batch(8, 0.01)
            subject = Subject(NAMESPACE, "analyzing", revision)
            envoy.answered(subject.cluster)
            istio.ended(subject.service, ANSWERS)
            nginx.sent(subject.service, 10)
            nginx.ended(subject.service, ANSWERS)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    exporter = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    target = f"127.0.0.1:{exporter.server_address[1]}"
    jobs = {"operator": "modelops", "envoy": "envoy", "server": "servers", "others": "gateways"}
    scraping = [
        {
            "job_name": job,
            "metrics_path": f"/{page}",
            "honor_labels": True,
            "static_configs": [{"targets": [target], "labels": {"namespace": NAMESPACE} if page == "server" else {}}],
        }
        for page, job in jobs.items()
    ]
    directory = tmp_path_factory.mktemp("prometheus")
    config = {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"}, "scrape_configs": scraping}
    (directory / "prometheus.yml").write_text(json.dumps(config))
    urls, running = [], []
    try:
        for program in installed:
            urls.append(f"http://127.0.0.1:{(port := free_port())}")
            options = [f"--storage.tsdb.path={directory / f'data-{port}'}", f"--web.listen-address=127.0.0.1:{port}"]
            words = [program, f"--config.file={directory / 'prometheus.yml'}", *options]
            with (directory / f"log-{port}").open("w") as log:
                running.append(subprocess.Popen(words, stdout=log, stderr=log))
        for url, process in zip(urls, running, strict=True):
            _scraped(url, len(jobs), process)
        yield urls
    finally:
        for process in running:
            process.terminate()
            process.wait()
        exporter.shutdown()
        exporter.server_close()
        others.stop()


def _scraped(url: str, jobs: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None
        try:
            ready = urllib3.request("GET", f"{url}/-/ready", retries=False).status == 200
            found = ask([url], "sum_over_time(up[1m]) >= 4") if ready else []
        except urllib3.exceptions.HTTPError:
            found = []
        if len(found) == jobs:
            return
        time.sleep(0.2)
    raise AssertionError("Prometheus does not scrape")


def ask(urls: list[str], promql: str) -> list[Any]:
    """Return what a query finds; each Prometheus finds the same series."""
    found = []
    for url in urls:
        answer = urllib3.request("GET", f"{url}/api/v1/query", fields={"query": promql}, retries=False).json()
        assert answer["status"] == "success", f"{answer.get('error')}: {promql}"
        found.append(list(answer["data"]["result"]))
    named = [sorted(sorted(series["metric"].items()) for series in one) for one in found]
    assert all(one == named[0] for one in named), promql
    return found[0]


def substituted(expr: str, release: str) -> str:
    """Return the expression as Grafana sends it; what it says without any series is taken away."""
    values = {
        "__rate_interval": "20s", "__range": "20s", "namespace": NAMESPACE, "release": release, "metric": ".*",
    }  # fmt: skip
    for name, value in values.items():
        expr = expr.replace(f"${{{name}}}", value).replace(f"${name}", value)
    assert "$" not in expr
    return expr.replace(" or vector(0)", "")


@pytest.mark.parametrize(("name", "title", "expr"), PANELS, ids=[f"{i}-{p[1]}" for i, p in enumerate(PANELS)])
def test_query_of_a_panel_finds_series(prometheus: list[str], name: str, title: str, expr: str) -> None:
    """For one of the releases at least: none is paused, without room and in analysis at once."""
    tried = [substituted(expr, release) for release in walked_names()]
    found = [series for promql in dict.fromkeys(tried) for series in ask(prometheus, promql)]

    assert found, f"{title}: {expr}"
    assert any(series["value"][1] != "NaN" for series in found), f"{title}: {expr}"


def walked_names() -> tuple[str, ...]:
    return ("analyzing", "degraded", "paused", "waiting", "compared")


@pytest.mark.parametrize(("name", "query"), VARIABLES)
def test_variable_has_values(prometheus: list[str], name: str, query: str) -> None:
    match = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    assert match is not None
    found = ask(prometheus, f"count by ({match[2]}) ({substituted(match[1], 'analyzing')})")
    assert all(series["metric"].get(match[2]) for series in found)
    assert found


@pytest.mark.parametrize(("alert", "selector"), SELECTORS)
def test_series_of_an_alert_are_there(prometheus: list[str], alert: str, selector: str) -> None:
    """An alert on a name that nobody exports never fires; whether it fires in time is promtool's to say."""
    assert ask(prometheus, selector), f"{alert}: {selector}"


def test_alerts_of_a_bad_day_fire(prometheus: list[str]) -> None:
    """Their whole expressions, over the operator's own series."""
    firing = {rule["alert"] for rule in RULES if ask(prometheus, rule["expr"])}
    assert firing >= {
        f"Modelops{name}"
        for name in (
            "WatchDead", "ObjectStalled", "SourceNotSynced", "TrainingFailed", "ReleaseDegraded", "ReleaseStuck",
            "SmokeTestFailed",
            "ReleaseUnjudged", "ReleaseAwaitsApproval", "ReleaseWithoutRoom", "ReconcilesFail",
        )
    }  # fmt: skip
    assert not firing & {"ModelopsOperatorDown", "ModelopsNoLeader", "ModelopsManyLeaders", "ModelopsReconcilesSlow"}


@pytest.mark.parametrize("name", BOARDS)
def test_board_is_well_formed(name: str) -> None:
    """Panels of today's types, none over another, each with a query of its own data source."""
    board = BOARDS[name]
    assert board["schemaVersion"] == SCHEMA_VERSION
    assert {panel["type"] for panel in board["panels"]} <= PANEL_TYPES
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
        assert panel["targets"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def test_every_phase_has_a_colour() -> None:
    """And nothing else has: a phase that never comes says nothing."""
    (panel,) = (one for one in BOARDS["release"]["panels"] if one["title"] == "Phase over time")
    coloured = {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]}
    assert coloured == {f".*\\b{phase}$" for phase in get_args(Phase)}


@pytest.mark.parametrize("path", rendered())
def test_board_is_what_is_committed(path: str) -> None:
    """`make generate` writes it anew."""
    assert (ROOT / path).read_text(encoding="utf-8") == rendered()[path]


@pytest.mark.parametrize(
    ("figures", "prefix"),
    [(EnvoyFigures, "envoy_cluster_upstream"), (IstioFigures, "istio"), (NginxFigures, "nginx_http")],
)
def test_gateway_is_asked_under_the_names_that_verdicts_use(figures: type[Figures], prefix: str) -> None:
    window, asked = timedelta(minutes=1), figures(Subject("a", "b", "c"))
    judged = asked.success_rate(window)
    with contextlib.suppress(Stalled):  # NGINX has no histogram.
        judged += asked.slow_share(window, "25")
    shown = {name for _, _, expr in PANELS for name in re.findall(rf"\b{prefix}_\w+", expr)}

    assert shown
    assert shown <= set(re.findall(rf"\b{prefix}_\w+", judged))


@pytest.mark.parametrize("name", BOARDS)
def test_what_is_said_of_now_is_asked_for_now(name: str) -> None:
    """Over a range, a figure or a table would show phases that are over."""
    for panel in BOARDS[name]["panels"]:
        wanted = panel["type"] in {"stat", "table"}
        assert {target["instant"] for target in panel["targets"]} == {wanted}, panel["title"]
