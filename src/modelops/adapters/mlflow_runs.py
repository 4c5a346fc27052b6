"""MLflow as a step sees it: runs, artifacts through the server's proxy, and the version a run becomes.

Called by `modelops.steps`. It speaks MLflow's REST interface itself, because importing MLflow costs a step seconds.
Nothing in it depends on an active run. Every write can be repeated: MLflow has no uniqueness, so a run is looked up by
its tags before it is created, and a version by its run.

It must never follow an address that MLflow answers with: artifacts go through the tracking server only.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import urllib3

from modelops.adapters.mlflow_login import Login
from modelops.errors import Stalled, Transient

_ARTIFACT_SCHEME = "mlflow-artifacts:"
_BATCH = 900
"""MLflow takes at most 1000 metrics, 100 parameters and 100 tags in one call."""
_TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as far as steps need it."""

    run_id: str
    experiment_id: str
    status: str
    """RUNNING, FINISHED, FAILED or KILLED."""
    start_time: int
    """Milliseconds since 1970."""
    artifact_uri: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Metric:
    """One point of a curve."""

    key: str
    value: float
    step: int


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version."""

    version: str
    run_id: str
    status: str
    tags: Mapping[str, str]
    source: str


class MlflowRuns:
    """A client of one tracking server."""

    def __init__(self, tracking_uri: str, login: Login | None = None) -> None:
        if not tracking_uri.startswith(("http://", "https://")):
            raise Stalled("InvalidTrackingUri", "MLFLOW_TRACKING_URI must be the http(s) address of an MLflow server")
        self._base = tracking_uri.rstrip("/")
        self._headers = {"User-Agent": "modelops", **(login or Login()).headers()}
        # Only what is safe to send twice is retried here; the rest is for the step's own retry.
        retries = urllib3.Retry(
            total=3,
            backoff_factor=0.3,
            status_forcelist=(502, 503, 504),
            redirect=False,
            allowed_methods=("GET", "PUT"),
            raise_on_status=False,
        )
        self._http = urllib3.PoolManager(maxsize=8, retries=retries, timeout=_TIMEOUT)

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, which is created if it is not there.

        Raises:
            Stalled: the experiment was deleted (ExperimentDeleted).
        """
        found = self._get("experiments/get-by-name", {"experiment_name": name}, absent_is_none=True)
        if found is None:
            try:
                return str(self._post("experiments/create", {"name": name})["experiment_id"])
            except Stalled:
                # Another step was quicker. If not, the second look says what is wrong.
                found = self._get("experiments/get-by-name", {"experiment_name": name})
        assert found is not None
        if found["experiment"].get("lifecycle_stage") != "active":
            raise Stalled("ExperimentDeleted", f"the MLflow experiment {name!r} was deleted; restore it there")
        return str(found["experiment"]["experiment_id"])

    def experiments(self, prefix: str) -> Sequence[tuple[str, str]]:
        """Return (id, name) of the experiments whose names begin so."""
        body = {"filter": f"name LIKE '{_quoted(prefix)}%'", "max_results": 1000}
        found = self._post("experiments/search", body).get("experiments", [])
        return [(str(entry["experiment_id"]), str(entry["name"])) for entry in found]

    def find_runs(self, experiment_id: str, tags: Mapping[str, str], *, limit: int = 100) -> Sequence[Run]:
        """Return the runs of an experiment that carry all the tags, oldest first."""
        terms = [f"tags.`{key}` = '{_quoted(value)}'" for key, value in tags.items()]
        body = {
            "experiment_ids": [experiment_id],
            "filter": " and ".join(terms),
            "order_by": ["attributes.start_time ASC"],
            "max_results": limit,
        }
        return [_run(entry) for entry in self._post("runs/search", body).get("runs", [])]

    def run(self, run_id: str) -> Run | None:
        """Return a run, or None."""
        found = self._get("runs/get", {"run_id": run_id}, absent_is_none=True)
        return None if found is None else _run(found["run"])

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str], *, start_time: int) -> Run:
        """Create a run. Look it up first: a second call makes a second run."""
        body = {
            "experiment_id": experiment_id,
            "run_name": name,
            "start_time": start_time,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return _run(self._post("runs/create", body)["run"])

    def log(
        self,
        run: Run,
        *,
        metrics: Iterable[Metric] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log metrics, parameters and tags, in as few calls as MLflow's limits allow.

        A metric's time is the run's start plus its step, so that logging the same again changes nothing.
        """
        points = [
            {"key": m.key, "value": m.value, "timestamp": run.start_time + m.step, "step": m.step} for m in metrics
        ]
        pairs = [{"key": key, "value": value[:6000]} for key, value in (params or {}).items()]
        labels = [{"key": key, "value": value[:5000]} for key, value in (tags or {}).items()]
        while points or pairs or labels:
            batch = {"run_id": run.run_id, "metrics": points[:_BATCH], "params": pairs[:50], "tags": labels[:50]}
            self._post("runs/log-batch", batch)
            points, pairs, labels = points[_BATCH:], pairs[50:], labels[50:]

    def finish(self, run: Run, *, end_time: int, status: str = "FINISHED") -> None:
        """Set a run's final status. Time in milliseconds since 1970."""
        self._post("runs/update", {"run_id": run.run_id, "status": status, "end_time": end_time})

    def put_artifact(self, run: Run, path: str, content: bytes) -> None:
        """Write an artifact of a run; one that exists is replaced."""
        self._request("PUT", self._artifact_url(run, path), body=content)

    def artifact(self, run: Run, path: str) -> bytes | None:
        """Return an artifact's bytes, or None."""
        response = self._request("GET", self._artifact_url(run, path), absent_is_none=True)
        return None if response is None else response.data

    def ensure_model(self, name: str) -> None:
        """Create a registered model unless it is there."""
        if self._get("registered-models/get", {"name": name}, absent_is_none=True) is None:
            try:
                self._post("registered-models/create", {"name": name})
            except Stalled:
                # Another run of the same model was quicker; if it was something else, this says so.
                self._get("registered-models/get", {"name": name})

    def version_of_run(self, model: str, run_id: str) -> Version | None:
        """Return the oldest version of a model that a run became, or None."""
        query = {"filter": f"name = '{_quoted(model)}' and run_id = '{_quoted(run_id)}'", "max_results": "100"}
        found = (self._get("model-versions/search", query) or {}).get("model_versions", [])
        return min((_version(entry) for entry in found), key=lambda version: int(version.version), default=None)

    def version_by_alias(self, model: str, alias: str) -> Version | None:
        """Return the version that an alias points at, or None."""
        try:
            found = self._get("registered-models/alias", {"name": model, "alias": alias}, absent_is_none=True)
        except Stalled as refused:
            # An absent alias of a model that exists is a 400 to MLflow, told apart by its words only.
            if "not found" not in refused.message:
                raise
            found = None
        return None if found is None else _version(found["model_version"])

    def create_version(self, model: str, run: Run, path: str, tags: Mapping[str, str]) -> Version:
        """Register a directory of a run's artifacts. Look it up first: a second call makes a second version."""
        body = {
            "name": model,
            "source": f"{run.artifact_uri.rstrip('/')}/{path}",
            "run_id": run.run_id,
            "tags": [{"key": key, "value": value[:5000]} for key, value in tags.items()],
        }
        return _version(self._post("model-versions/create", body)["model_version"])

    def run_url(self, run: Run) -> str:
        """Return the address at which people look at a run."""
        return f"{self._base}/#/experiments/{run.experiment_id}/runs/{run.run_id}"

    def artifact_url(self, run: Run, path: str) -> str:
        """Return the address at which people fetch an artifact of a run."""
        return f"{self._base}/get-artifact?path={quote(path)}&run_uuid={run.run_id}"

    def _artifact_url(self, run: Run, path: str) -> str:
        if not run.artifact_uri.startswith(_ARTIFACT_SCHEME):
            raise Stalled(
                "ArtifactsNotProxied",
                f"MLflow keeps artifacts of run {run.run_id} at {run.artifact_uri.split(':')[0]}:, where steps cannot "
                "write; start the server with --serve-artifacts and --artifacts-destination",
            )
        root = run.artifact_uri.removeprefix(_ARTIFACT_SCHEME)
        if root.startswith("//"):
            root = "/" + root[2:].partition("/")[2]
        return f"{self._base}/api/2.0/mlflow-artifacts/artifacts/{quote(root.strip('/'))}/{quote(path)}"

    def _get(self, call: str, query: Mapping[str, str], *, absent_is_none: bool = False) -> dict[str, Any] | None:
        response = self._request(
            "GET", f"{self._base}/api/2.0/mlflow/{call}", fields=query, absent_is_none=absent_is_none
        )
        return None if response is None else _json(response.data, call)

    def _post(self, call: str, body: Mapping[str, Any]) -> dict[str, Any]:
        content = json.dumps(body, allow_nan=True).encode()
        response = self._request("POST", f"{self._base}/api/2.0/mlflow/{call}", body=content)
        assert response is not None
        return _json(response.data, call)

    def _request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        fields: Mapping[str, str] | None = None,
        absent_is_none: bool = False,
    ) -> urllib3.BaseHTTPResponse | None:
        headers = {
            **self._headers,
            "Content-Type": "application/json" if method == "POST" else "application/octet-stream",
        }
        try:
            response = self._http.request(method, url, body=body, fields=fields, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise Transient(
                "MlflowUnavailable", f"MLflow at {self._base} does not answer ({type(error).__name__}); is it running?"
            ) from error
        if response.status < 300:
            return response
        if response.status == 404 and absent_is_none:
            return None
        detail = _error_text(response.data)
        where = url.removeprefix(self._base).partition("?")[0]
        if response.status >= 500 or response.status in {408, 425, 429}:
            raise Transient("MlflowUnavailable", f"MLflow answered {response.status} to {method} {where}: {detail}")
        raise Stalled("MlflowRefused", f"MLflow refused {method} {where} ({response.status}): {detail}")


def _quoted(value: str) -> str:
    """Return a text for a filter between single quotes. MLflow has no escape, so a quote cannot be asked for."""
    if "'" in value:
        raise Stalled("InvalidName", f"{value!r} cannot be looked up in MLflow, because it holds a quote; rename it")
    return value


def _run(entry: Mapping[str, Any]) -> Run:
    info = entry["info"]
    tags = {tag["key"]: tag["value"] for tag in entry.get("data", {}).get("tags", [])}
    return Run(
        run_id=str(info["run_id"]),
        experiment_id=str(info["experiment_id"]),
        status=str(info.get("status", "")),
        start_time=int(info.get("start_time", 0)),
        artifact_uri=str(info.get("artifact_uri", "")),
        tags=tags,
    )


def _version(entry: Mapping[str, Any]) -> Version:
    return Version(
        version=str(entry["version"]),
        run_id=str(entry.get("run_id", "")),
        status=str(entry.get("status", "")),
        tags={tag["key"]: tag["value"] for tag in entry.get("tags", [])},
        source=str(entry.get("source", "")),
    )


def _json(content: bytes, call: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise Transient(
            "MlflowUnavailable", f"what answered {call} is not MLflow; check MLFLOW_TRACKING_URI"
        ) from error
    if not isinstance(document, dict):
        raise Transient("MlflowUnavailable", f"what answered {call} is not MLflow; check MLFLOW_TRACKING_URI")
    return document


def _error_text(content: bytes) -> str:
    try:
        document = json.loads(content)
        text = f"{document.get('error_code', '')} {document.get('message', '')}".strip()
    except (ValueError, AttributeError):
        text = content[:200].decode("utf-8", "replace")
    return " ".join(text.split())[:300]
