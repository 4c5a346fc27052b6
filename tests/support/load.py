"""A constant load on a gateway: who answered, how often, and when first and last.

For benches and tests as a class; in a pod as a program, which asks $URL for $HOST with $CONNECTIONS connections, the
headers of $HEADERS (JSON) and the bodies of $BODIES (a JSON list), and tells on port 8080 what `Load.told` returns.
"""

import asyncio
import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

PORT = 8080


@dataclass
class Load:
    """So many connections, each asking again as soon as it has its answer."""

    url: str
    host: str
    """Of the release."""
    connections: int = 20
    headers: dict[str, str] = field(default_factory=dict)
    """Besides Host."""
    bodies: Sequence[Any] = ({},)
    """What is sent, in turn."""
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    """How many by (status or 0, version that answered or nothing)."""
    when: dict[tuple[int, str], tuple[float, float]] = field(default_factory=dict)
    """The first and the last of them, seconds since 1970."""
    errors: list[str] = field(default_factory=list)
    """What no version answered."""

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._bodies = itertools.cycle([json.dumps(body).encode() for body in self.bodies])
        self._thread = threading.Thread(target=lambda: asyncio.run(self.ask()), daemon=True)

    def start(self) -> None:
        """Ask from a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stop.set()
        self._thread.join(30)

    def told(self) -> dict[str, Any]:
        """Return what came back, as JSON can have it."""
        answers = [
            {"status": status, "version": version, "count": count, "first": first, "last": last}
            for (status, version), count in self.answers.items()
            for first, last in (self.when[status, version],)
        ]
        return {"answers": answers, "errors": self.errors[:20]}

    async def ask(self) -> None:
        """Ask until told to stop."""
        connector = aiohttp.TCPConnector(limit=self.connections)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=15)) as session:
            await asyncio.gather(*(self._ask(session) for _ in range(self.connections)))

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        while not self._stop.is_set():
            try:
                headers = {"Host": self.host, "Content-Type": "application/json", **self.headers}
                async with session.post(self.url, data=next(self._bodies), headers=headers) as answer:
                    body = await answer.text()
                    version = answer.headers.get("x-version", "") or _version_in(body)
                    self._note(answer.status, version)
                    if answer.status != 200 and not version:
                        self.errors.append(f"{time.time():.3f} {answer.status} {body[:100]}")
            except (aiohttp.ClientError, TimeoutError) as error:
                self._note(0, "")
                self.errors.append(f"{time.time():.3f} {type(error).__name__}: {error}")
                # Who is refused at once asks no sooner than who is answered.
                await asyncio.sleep(0.02)

    def _note(self, status: int, version: str) -> None:
        now = time.time()
        self.answers[status, version] += 1
        self.when[status, version] = (self.when.get((status, version), (now, now))[0], now)


def _version_in(body: str) -> str:
    """Return what an answer of the Open Inference Protocol says of itself, or nothing."""
    try:
        return str(json.loads(body).get("model_version", ""))
    except (ValueError, AttributeError):
        return ""


async def _serve(load: Load) -> None:
    """Ask for ever, and tell whoever wants to know."""

    async def told(_: web.Request) -> web.Response:
        return web.json_response(load.told())

    app = web.Application()
    app.add_routes([web.get("/", told)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", PORT).start()
    await load.ask()


if __name__ == "__main__":
    asyncio.run(
        _serve(
            Load(
                os.environ["URL"],
                os.environ["HOST"],
                int(os.environ["CONNECTIONS"]),
                json.loads(os.environ["HEADERS"]),
                json.loads(os.environ["BODIES"]),
            )
        )
    )
