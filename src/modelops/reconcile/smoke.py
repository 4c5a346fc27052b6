"""Sends the golden requests of smoke tests, and says how they were answered.

On threads of their own, because a test may take a minute: a reconcile starts one, waits for a moment, and takes the
answers with it or leaves them to a later one. What is under way when the operator ends is sent again by the next.
"""

import json
import math
import re
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import Final

from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.api.v1alpha1.smoke import GoldenRequest, SmokeTest
from modelops.domain.analysis.expressions import ExpressionError, compile_expectation
from modelops.domain.release.golden import WITHIN, Answered, Answers
from modelops.domain.release.revision import child_name
from modelops.domain.release.smoke_test import digest_of, is_due
from modelops.errors import ModelopsError, Stalled, Transient
from modelops.ports import Answer, ModelServer
from modelops.reconcile.addresses import Objects, addresses_of
from modelops.reconcile.bundle import Ports
from modelops.workflows.render import Owner

_PARALLEL: Final = 4
_MOST_KEPT: Final = 256
_SHOWN: Final = 120
_MOST_BYTES: Final = 2**63
_MEMORY: Final = re.compile(rb"^process_resident_memory_bytes(?:\{[^}\n]*\})? ([0-9.eE+]{1,32})\s*$", re.MULTILINE)
_What = tuple[str, str]
"""Revision and smoke test."""


class SmokeTests:
    """The smoke tests of all releases, a few at once.

    Args:
        patience: how long the reconcile that starts one waits for it. Seconds.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._asking = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="smoke")
        self._under_way: dict[str, tuple[_What, Future[Answers]]] = {}

    def answers(
        self,
        spec: ModelReleaseSpec,
        status: ModelReleaseStatus,
        owner: Owner,
        services: Objects,
        deployments: Objects,
        ports: Ports,
        now: datetime,
    ) -> Answers | None:
        """Return the canary's answers once all of them have come; send the requests when it is time."""
        test, canary = spec.smoke_test, status.canary
        if test is None or canary is None or not is_due(spec, status, now):
            self._drop(owner.uid)
            return None
        what = (canary.revision, digest_of(test))
        found = self._under_way.get(owner.uid)
        if found is None or found[0] != what:
            self._drop(owner.uid)
            name = child_name(owner.name, canary.revision)
            address = next(iter(addresses_of(name, services, deployments, ports)), "")
            default = "/invocations" if spec.serving.runtime == "mlflow" else f"/v2/models/{owner.name}/infer"
            found = what, self._asking.submit(_tested, test, address, default, ports)
            wait([found[1]], self._patience)
            self._keep(owner.uid, found)
        if not found[1].done():
            return None
        self._drop(owner.uid)
        return found[1].result()

    def _keep(self, uid: str, found: tuple[_What, Future[Answers]]) -> None:
        if len(self._under_way) >= _MOST_KEPT:
            # Of releases that went while they were tested; another's answers are asked for once more.
            for other, (_, asked) in list(self._under_way.items()):
                if asked.done():
                    self._drop(other)
        self._under_way[uid] = found

    def _drop(self, uid: str) -> None:
        _, asked = self._under_way.pop(uid, (None, None))
        if asked is not None:
            asked.cancel()


def _tested(test: SmokeTest, address: str, default: str, ports: Ports) -> Answers:
    """Send all requests to a server, as often as the test says."""
    if not address:
        return Answers(unreachable="they have no address")
    with ports.servers.at(address, within=WITHIN) as server:
        try:
            found = tuple(_asked(test, request, default, server) for request in test.requests)
            return Answers(found, memory=_memory(server, test) if test.max_memory is not None else None)
        except Transient as error:
            return Answers(unreachable=error.message)


def _asked(test: SmokeTest, request: GoldenRequest, default: str, server: ModelServer) -> Answered:
    """Send one request again and again, until an answer is not as expected.

    Raises:
        Transient: there is no server (ServerUnreachable).
    """
    expected = compile_expectation(request.expect)
    body = None if request.body is None else json.dumps(request.body).encode()
    slowest: float | None = None
    for _ in range(test.repeat):
        try:
            answer = server.ask(request.path or default, body, test.timeout)
        except ModelopsError as error:
            if error.reason == "ServerUnreachable":
                raise
            return Answered(request.name, slowest, error.message, passing=isinstance(error, Transient))
        slowest = max(slowest or 0.0, answer.seconds)
        try:
            problem = "" if expected(answer.status, answer.body) else f"expected {_short(request.expect)}"
        except ExpressionError as error:
            problem = str(error)
        if problem:
            return Answered(request.name, slowest, f"{problem}, {_came(answer)}", passing=answer.status >= 500)
    return Answered(request.name, slowest)


def _came(answer: Answer) -> str:
    text = " ".join(answer.body[:1024].decode(errors="replace").split())
    shown = "".join(sign if sign.isprintable() else "?" for sign in text)
    return f"got status {answer.status}: {_short(shown)}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _memory(server: ModelServer, test: SmokeTest) -> int | None:
    """Return what a server says it takes; None if it does not say it."""
    try:
        answer = server.ask("/metrics", None, test.timeout)
    except (Transient, Stalled):
        return None
    found = _MEMORY.search(answer.body) if answer.status == 200 else None
    try:
        said = float(found[1]) if found is not None else math.nan
    except ValueError:
        return None
    return int(said) if said < _MOST_BYTES else None
