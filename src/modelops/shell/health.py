"""/healthz and /readyz of the operator, and its /metrics."""

import time
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

_STUCK_SECONDS: Final = 600.0


class Health:
    """What the probes are told.

    Ready: the cache was filled once. Alive: the event loop turns, and no watcher has ended by itself.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._primed = False
        self._failure: str | None = None
        self._last_prime = now()

    def primed(self) -> None:
        """Every watched resource was listed just now."""
        self._primed = True
        self._last_prime = self._now()

    def failed(self, why: str) -> None:
        """Something that must run for ever has ended."""
        self._failure = why

    async def live(self, _: web.Request) -> web.Response:
        """Answer /healthz."""
        if self._failure:
            return web.Response(status=503, text=self._failure + "\n")
        if self._primed and self._now() - self._last_prime > _STUCK_SECONDS * 2:
            return web.Response(status=503, text="the periodic relist has stopped\n")
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """Answer /readyz."""
        return web.Response(text="ok\n") if self._primed else web.Response(status=503, text="listing\n")


async def serve_health(health: Health, listen: str, port: int) -> web.AppRunner:
    """Serve /healthz and /readyz until the runner is cleaned up."""
    app = web.Application()
    app.add_routes([web.get("/healthz", health.live), web.get("/readyz", health.ready)])
    return await _serve(app, listen, port)


async def serve_metrics(registry: CollectorRegistry, listen: str, port: int) -> web.AppRunner:
    """Serve /metrics until the runner is cleaned up."""

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    return await _serve(app, listen, port)


async def _serve(app: web.Application, listen: str, port: int) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, listen, port).start()
    return runner
