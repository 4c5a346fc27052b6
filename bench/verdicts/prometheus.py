"""A Prometheus that says what the scenarios say, in the real one's words, over HTTP.

It knows by the label `canary` ("contender/scenario") who asks, and evaluates no PromQL but these:

    share{canary="…"}       the canary's share of failed requests       share_of_20{…}     the same, but nothing where
    latency{canary="…"}     its 99th percentile                         latency_of_20{…}   it had fewer than 20 requests
    ratio{canary="…"}       its share of failed requests / stable's     ratio_of_20{…}
    increase(failed_total{canary="…", revision="…"}[…ms])               of canary or stable, whichever revision it is
    increase(requests_total{canary="…", revision="…"}[…ms])
"""

import json
import math
import re
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from bench.verdicts.board import Board, Canary
from bench.verdicts.scenarios import Figures

_QUERY: Final = re.compile(r'(\w+)\{canary="([^/"]+)/([^"]+)"(?:, revision="([^"]*)")?\}(?:\[(\d+)ms\])?')
_ENOUGH: Final = "_of_20"


class Away(Exception):
    """It breaks the connection."""


def answer(board: Board, query: str) -> Sequence[float]:
    """Return one value for each series of an answer.

    Raises:
        Away: it does not answer.
    """
    found = _QUERY.search(query)
    if found is None:
        # `vector(1)`: whether it is there at all. There is no gateway whose figures somebody asks for.
        return (1.0,) if query == "vector(1)" else ()
    name, contender, scenario, revision, window = found.groups()
    canary, figures = board.asked(contender, scenario)
    if figures.away:
        raise Away
    if window:
        return _counted(canary, figures, name, revision, int(window) / 1000)
    if name.endswith(_ENOUGH) and _requests(canary, figures) < 20:
        return ()
    match name.removesuffix(_ENOUGH):
        case "share":
            return figures.shares
        case "latency":
            return figures.latencies
        case "ratio":
            return tuple(_divided(share, figures.stable) for share in figures.shares)
    raise ValueError(query)


def _divided(value: float, by: float) -> float:
    """Return a quotient as PromQL has it."""
    return value / by if by else math.copysign(math.inf, value) if value else math.nan


def _requests(canary: Canary, figures: Figures) -> float:
    return figures.everybody * canary.weight / 100 if figures.requests is None else figures.requests


def _counted(canary: Canary, figures: Figures, name: str, revision: str, seconds: float) -> Sequence[float]:
    """Return how many requests of a revision there were, or failed; no series where there were none."""
    if revision == canary.stable:
        requests, share = figures.everybody * (100 - canary.weight) / 100, figures.stable
    else:
        requests = _requests(canary, figures)
        share = sum(figures.shares) / len(figures.shares) if requests else 0.0
    if not requests:
        return ()
    return (requests * seconds / canary.interval * (share if name == "failed_total" else 1),)


def _spelt(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return f"{value!r}" if math.isfinite(value) else "+Inf"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    board: Board

    def do_GET(self) -> None:
        self._answer(parse_qs(urlsplit(self.path).query))

    def do_POST(self) -> None:
        self._answer(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))

    def _answer(self, asked: dict[str, list[str]]) -> None:
        try:
            values = answer(self.board, asked["query"][0])
        except Away:
            # The client sees its connection end without an answer.
            self.close_connection = True
            return
        result = [{"metric": {"pod": f"pod-{number}"}, "value": [0, _spelt(one)]} for number, one in enumerate(values)]
        body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: there are thousands of questions."""


class ScriptedPrometheus:
    """Serves a board from a thread until stopped."""

    def __init__(self, board: Board) -> None:
        handler = type("Handler", (_Handler,), {"board": board})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
