"""Model servers on a walk, which also tell what they answered to requests that both of a release's revisions got."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from modelops.errors import ModelopsError
from modelops.ports import Answer, ModelServer
from tests.support.fakes import FakeServers
from tests.walk.figures import WELL
from tests.walk.figures import Answer as Share


@dataclass
class Servers(FakeServers):
    """Answer golden requests alike, and `/answers` by the share of metric 0: so many of the canary's are stable's."""

    is_canarys: Callable[[str], bool] = bool
    """Whether an address is of the canary's servers."""
    shares: dict[int, Share] = field(default_factory=dict)
    """The canary's, by metric."""

    @contextmanager
    def at(self, address: str, *, within: timedelta) -> Iterator[ModelServer]:
        with super().at(address, within=within) as server:
            yield _Server(self, address, server)


@dataclass
class _Server:
    servers: Servers
    address: str
    golden: ModelServer

    def ask(self, path: str, body: bytes | None, timeout: timedelta, bearer: str = "") -> Answer:
        if path != "/answers":
            return self.golden.ask(path, body, timeout, bearer)
        return _kept(self.servers.shares.get(0, WELL), of_canary=self.servers.is_canarys(self.address))


def _kept(answer: Share, *, of_canary: bool) -> Answer:
    """Return what a server says that it has answered; what is no share cannot be read."""
    share, samples = answer
    if isinstance(share, ModelopsError):
        raise share.with_traceback(None)
    if share is None or samples is None:
        return Answer(404, b"", 0.01)
    if not math.isfinite(share):
        return Answer(200, b"{", 0.01)
    number = round(samples)
    different = round((1 - share) * number) if of_canary else 0
    told: dict[str, Any] = {"server": "one", "unnamed": 0}
    told["answers"] = [[f"request {n}", [1.0 if n < different else 0.0]] for n in range(number)]
    return Answer(200, json.dumps(told).encode(), 0.01)
