"""Customers: a steady stream of real rows to the gateway, from a thread of its own.

Counts what came back by status code and by the version that answered, so that the tour can say what
customers saw.
"""

import asyncio
import itertools
import json
import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import aiohttp


class Customers:
    """Sends rows in a loop until told to stop; use as a context manager.

    Args:
        url: address of the inference endpoint.
        host: the release's host name, sent as Host header.
        bodies: request bodies of the Open Inference Protocol, sent in turn.
        rate: requests per second.
    """

    def __init__(self, url: str, host: str, bodies: Sequence[dict[str, Any]], *, rate: float = 80) -> None:
        self._url = url
        self._host = host
        self._bodies = [json.dumps(body).encode() for body in bodies]
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="customers", daemon=True)
        self.answers: Counter[tuple[int, str]] = Counter()
        """How many answers by (HTTP status or 0 for none, model version)."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=20)

    async def _main(self) -> None:
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            pending: set[asyncio.Task[None]] = set()
            for body in itertools.cycle(self._bodies):
                if self._stop.is_set():
                    break
                if len(pending) < 50:
                    task = asyncio.create_task(self._ask(session, body))
                    pending.add(task)
                    task.add_done_callback(pending.discard)
                await asyncio.sleep(1 / self._rate)
            await asyncio.gather(*pending)

    async def _ask(self, session: aiohttp.ClientSession, body: bytes) -> None:
        headers = {"Host": self._host, "Content-Type": "application/json"}
        try:
            async with session.post(self._url, data=body, headers=headers) as response:
                raw = await response.read()
                version = ""
                if response.status == 200:
                    version = str(json.loads(raw).get("model_version", ""))
                self.answers[response.status, version] += 1
        except (aiohttp.ClientError, TimeoutError):
            self.answers[0, ""] += 1
