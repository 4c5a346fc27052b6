"""One real Envoy, scraped by each real Prometheus there is, as the local home starts them, for tests of figures."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from modelops.localhome import parts
from modelops.localhome.children import free_port
from modelops.localhome.gateway import bootstrap
from modelops.localhome.gateway.translate import World, cluster_name, translate
from tests.support import prometheus

HOST = "test.example.com"


def missing() -> str | None:
    """Return what is not installed, or None."""
    if not prometheus.programs():
        return "prometheus is not installed; `make setup` brings it"
    return None


@dataclass
class RealGateway:
    """Envoy on a port, each Prometheus on another; backends come and go."""

    directory: Path
    gateway: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    prometheus: list[int] = field(default_factory=lambda: [free_port() for _ in prometheus.programs()])
    backends: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Service name → (port of its server or 0 for none, timeout of its route)."""
    routes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """More HTTPRoutes, by name."""
    told: int = 0
    """How often Envoy was told anything."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        """Start them all and wait until they answer."""
        envoy = self.directory / "envoy"
        envoy.mkdir(parents=True, exist_ok=True)
        bootstrap.write(envoy, gateway_port=self.gateway, admin_port=self.admin)
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                {
                    "job_name": "envoy",
                    "metrics_path": "/stats/prometheus",
                    "static_configs": [{"targets": [f"127.0.0.1:{self.admin}"]}],
                },
                {
                    "job_name": "scripted",
                    "file_sd_configs": [{"files": [str(self.scripted)], "refresh_interval": "1s"}],
                },
            ],
        }
        (self.directory / "prometheus.yml").write_text(json.dumps(config))
        self.start_envoy()
        for program, port in zip(prometheus.programs(), self.prometheus, strict=True):
            self._start_prometheus(program, port)
        # Prometheus takes up to 5 s to look at its targets for the first time.
        deadline = time.monotonic() + 20
        for url in self.prometheus_urls:
            self._await(f"{url}/-/ready")
            while b'"1"' not in urllib3.request("GET", f"{url}/api/v1/query?query=up").data:
                assert time.monotonic() < deadline, "Prometheus does not scrape Envoy"
                time.sleep(0.1)

    @property
    def scripted(self) -> Path:
        """Where more targets are named, as file_sd reads them: figures that no Envoy can be made to give."""
        return self.directory / "scripted.json"

    @property
    def prometheus_urls(self) -> list[str]:
        """Base address of each Prometheus."""
        return [f"http://127.0.0.1:{port}" for port in self.prometheus]

    def start_envoy(self) -> None:
        """Start Envoy over the files as they are."""
        path = self.directory / "envoy" / "bootstrap.json"
        self._run("envoy", parts.envoy_program(), "-c", str(path), "--use-dynamic-base-id", "--concurrency", "1")
        self._await(f"http://127.0.0.1:{self.admin}/ready")

    def kill_envoy(self) -> None:
        """End Envoy with kill -9: its counters are gone."""
        process = self.processes.pop("envoy")
        process.send_signal(signal.SIGKILL)
        process.wait()

    def upgrade_prometheus(self) -> None:
        """Go on with the last Prometheus over what the first one has; nothing else is asked from now on."""
        self.prometheus = [port := self.prometheus[0]]
        first = self.processes.pop(f"prometheus-{port}")
        first.terminate()
        first.wait(10)
        self._start_prometheus(prometheus.programs()[-1], port)
        self._await(f"{self.prometheus_urls[0]}/-/ready")

    def _start_prometheus(self, program: str, port: int) -> None:
        self._run(
            f"prometheus-{port}",
            program,
            f"--config.file={self.directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / f'data-{port}'}",
            f"--web.listen-address=127.0.0.1:{port}",
        )

    def add(self, service: str, port: int, timeout: str = "2s") -> None:
        """Give a Service a server and a route of its own; wait until Envoy has both."""
        self.backends[service] = (port, timeout)
        self._tell()

    def without_server(self, service: str) -> None:
        """Leave a Service without an endpoint; wait until Envoy knows."""
        self.add(service, 0, self.backends[service][1])

    def route(self, route: dict[str, Any]) -> None:
        """Put an HTTPRoute beside those of single Services; wait until Envoy has it."""
        self.routes[route["metadata"]["name"]] = route
        self._tell()

    def _tell(self) -> None:
        routes, services, deployments = {}, {}, {}
        for name, (at, limit) in self.backends.items():
            key, labels = ("test", name), {"app": name}
            services[key] = {"metadata": {}, "spec": {"selector": labels}}
            annotations = {"local.modelops.dev/endpoints": f"127.0.0.1:{at}" if at else ""}
            template = {"metadata": {"labels": labels}}
            deployments[key] = {"metadata": {"annotations": annotations}, "spec": {"template": template}}
            rule = {"backendRefs": [{"name": name, "port": 80}], "timeouts": {"request": limit}}
            rule["matches"] = [{"path": {"type": "PathPrefix", "value": f"/{name}"}}]
            routes[key] = {"metadata": {}, "spec": {"hostnames": [HOST], "rules": [rule]}}
        routes |= {("test", name): route for name, route in self.routes.items()}
        told = translate(World(routes, services, deployments))
        refused = [verdict for verdict in told.verdicts.values() if not (verdict.accepted and verdict.resolved)]
        assert not refused, refused
        envoy = self.directory / "envoy"
        self.told += 1
        version = f"v{self.told}."
        names = [cluster_name("test", name) for name in sorted(self.backends)]
        clusters = [bootstrap.with_endpoints(envoy, told.clusters[name]) for name in names]
        for name in names:
            document = bootstrap.discovery(bootstrap.ENDPOINTS_TYPE, version, [told.endpoints[name]])
            bootstrap.put(bootstrap.endpoints_file(envoy, name), document)
        bootstrap.put(bootstrap.clusters_file(envoy), bootstrap.discovery(bootstrap.CLUSTER_TYPE, version, clusters))
        bootstrap.put(
            bootstrap.routes_file(envoy),
            bootstrap.discovery(bootstrap.ROUTE_TYPE, version, [told.route_configuration]),
        )
        deadline = time.monotonic() + 10
        figures = ["http.gateway.rds.local.version_text", *(f"cluster.{name}.version_text" for name in names)]
        while not all(version in self.figure(figure) for figure in figures):
            assert time.monotonic() < deadline, "Envoy did not take the route"
            time.sleep(0.02)

    def figure(self, name: str) -> str:
        """Return one line of Envoy's figures."""
        answer = urllib3.request("GET", f"http://127.0.0.1:{self.admin}/stats", fields={"filter": f"^{name}$"})
        return answer.data.decode()

    def ask(
        self, service: str, times: int = 1, *, timeout: float = 10, headers: Mapping[str, str] | None = None
    ) -> list[int]:
        """Send requests one after another; return the statuses, 0 for none."""
        answers = []
        for _ in range(times):
            connection = http.client.HTTPConnection("127.0.0.1", self.gateway, timeout=timeout)
            try:
                connection.request("GET", f"/{service}/infer", headers={"Host": HOST, **(headers or {})})
                answers.append(connection.getresponse().status)
            except OSError:
                answers.append(0)
            finally:
                connection.close()
        return answers

    def scraped(self) -> None:
        """Wait until each Prometheus has everything that has happened by now: flush, scrape, and a margin."""
        time.sleep(2.2)

    def stop(self) -> None:
        """End them all."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(10)

    def _run(self, name: str, *argv: str) -> None:
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(argv, stdout=log, stderr=log, env=dict(os.environ))

    def _await(self, url: str) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if urllib3.request("GET", url, retries=False, timeout=1).status == 200:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{url} does not answer; see {self.directory}")


@contextlib.contextmanager
def running_gateway(directory: Path) -> Iterator[RealGateway]:
    """Run them all until the block ends."""
    found = RealGateway(directory)
    try:
        found.start()
        yield found
    finally:
        found.stop()
        for data in directory.glob("data-*"):
            shutil.rmtree(data, ignore_errors=True)
