"""The Registry port: MLflow's model registry over REST.

MLflow's own client would cost the operator 35 MiB, so the four calls are made here. It must never search: every call
names the version or the alias it wants.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any, Final
from urllib.parse import urlencode

import urllib3

from modelops.adapters.fence import Fence
from modelops.adapters.mlflow_login import Login
from modelops.errors import Stalled, Transient
from modelops.ports import ModelVersion

_API: Final = "/api/2.0/mlflow"
_ABSENT: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
"""MLflow answers an unknown alias, and a version that is no number, with the second."""


class MlflowRegistry:
    """Implements `ports.Registry`.

    Args:
        url: the tracking address.
        login: if the server wants one.
        timeout: seconds for one call.
        fence: passed by every write; None where there is no other writer.
    """

    def __init__(
        self, url: str, *, login: Login | None = None, timeout: float = 10.0, fence: Fence | None = None
    ) -> None:
        self._base = url.rstrip("/") + _API
        self._fence = fence
        self._headers = (login or Login()).headers()
        self._http = urllib3.PoolManager(
            num_pools=2, maxsize=8, retries=False, timeout=urllib3.Timeout(connect=2.0, read=timeout)
        )

    def version(self, model: str, version: str) -> ModelVersion | None:
        return _version(self._get("model-versions/get", {"name": model, "version": version}))

    def alias(self, model: str, alias: str) -> ModelVersion | None:
        return _version(self._get("registered-models/alias", {"name": model, "alias": alias}))

    def set_alias(self, model: str, alias: str, version: str) -> None:
        current = self.alias(model, alias)
        if current is not None and current.version == version:
            return
        body = {"name": model, "alias": alias, "version": version}
        if self._call("POST", "registered-models/alias", json.dumps(body).encode()) is None:
            raise Stalled("VersionNotFound", f"model {model} has no version {version} to give the alias {alias}")

    def _get(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any] | None:
        return self._call("GET", f"{path}?{urlencode(query)}", None)

    def _call(self, method: str, path: str, body: bytes | None) -> Mapping[str, Any] | None:
        headers = {**self._headers, "Content-Type": "application/json"}
        data: bytes | Iterator[bytes] | None = body
        fence = self._fence if body is not None else None
        if body is not None and fence is not None:
            headers["Content-Length"] = str(len(body))
            data = fence.guarded(body)
        try:
            with fence.passing() if fence is not None else nullcontext():
                answer = self._http.request(method, f"{self._base}/{path}", body=data, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise Transient("RegistryUnreachable", f"MLflow does not answer: {type(error).__name__}") from error
        try:
            parsed: Any = json.loads(answer.data or b"{}")
        except ValueError:
            parsed = {}
        if answer.status == 200 and isinstance(parsed, dict):
            return parsed
        code = parsed.get("error_code", "") if isinstance(parsed, dict) else ""
        if code in _ABSENT:
            return None
        if answer.status in {401, 403}:
            raise Stalled(
                "RegistryForbidden", f"MLflow refused with HTTP {answer.status}; check the operator's credentials"
            )
        raise Transient("RegistryError", f"MLflow answered HTTP {answer.status} {code}".rstrip())


def _version(answer: Mapping[str, Any] | None) -> ModelVersion | None:
    found = (answer or {}).get("model_version")
    if not found:
        return None
    return ModelVersion(
        name=found["name"],
        version=str(found["version"]),
        run_id=found.get("run_id", ""),
        status=found.get("status", "READY"),
        tags={tag["key"]: tag.get("value", "") for tag in found.get("tags", ())},
    )
