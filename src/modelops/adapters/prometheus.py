"""The Metrics port: Prometheus' instant queries over HTTP.

Called by the release reconciler from several threads at once. It must never turn an answer that is missing, partial or
late into a number: what is not a complete answer raises.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import urllib3

from modelops.errors import Transient
from modelops.ports import Series

_MAX_ANSWER = 4 * 1024 * 1024
_MAX_REASON = 200


class Prometheus:
    """Implements `ports.Metrics`.

    Args:
        url: base address of Prometheus, or of anything that answers `/api/v1/query` alike.
        timeout: seconds for one query, connecting included.
    """

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._timeout = timeout
        self._http = urllib3.PoolManager(
            num_pools=2, maxsize=16, retries=False, timeout=urllib3.Timeout(total=timeout, connect=min(timeout, 2.0))
        )

    def query(self, promql: str, at: datetime) -> Sequence[Series]:
        form = urlencode({"query": promql, "time": f"{at.timestamp():.3f}", "timeout": f"{self._timeout:.0f}s"})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = self._http.request("POST", self._url, body=form, headers=headers, preload_content=False)
            body = answer.read(_MAX_ANSWER + 1)
            answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise Transient("MetricsUnavailable", f"Prometheus does not answer: {type(error).__name__}") from error
        if len(body) > _MAX_ANSWER:
            raise Transient("BadQuery", "the answer is larger than 4 MiB; aggregate in the query")
        return _series(_parsed(answer.status, body))


def _parsed(status: int, body: bytes) -> Mapping[str, Any]:
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise Transient("MetricsUnavailable", f"Prometheus answered HTTP {status} without JSON")
    if parsed.get("status") != "success":
        reason = "BadQuery" if parsed.get("errorType") in {"bad_data", "execution"} else "MetricsUnavailable"
        said = " ".join(str(parsed.get("error", f"HTTP {status}")).split())[:_MAX_REASON]
        raise Transient(reason, f"Prometheus refused the query: {said}")
    return parsed


def _series(parsed: Mapping[str, Any]) -> Sequence[Series]:
    try:
        data = parsed["data"]
        if data["resultType"] == "scalar":
            return [Series({}, _number(data["result"][1]))]
        if data["resultType"] == "vector":
            return [Series(one["metric"], _number(one["value"][1])) for one in data["result"]]
        raise Transient(
            "BadQuery", f"the query answers a {data['resultType']}; it must be an instant vector or a scalar"
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Transient("MetricsUnavailable", "Prometheus' answer has an unknown shape") from error


def _number(text: str) -> float:
    """Return Prometheus' spelling of a float: also `NaN`, `+Inf` and `-Inf`."""
    return {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}.get(text) or float(text)
