"""/healthz and /readyz of the operator, and its /metrics."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from modelops.api.kinds import Resource
from modelops.shell.pulse import Pulse

_OK: Final = "ok\n"


class Health:
    """What the probes are told.

    Alive: the event loop turns, nothing that must run for ever has ended, and no watch is dead while the API server
    answers. Ready: the cache was filled once, and every watch has given a sign of life of late.

    Args:
        pulse: of the watches.
    """

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._primed = False
        self._failure = ""

    def primed(self) -> None:
        """Every watched resource was listed."""
        self._primed = True

    def failed(self, why: str) -> None:
        """Something that must run for ever has ended."""
        self._failure = why

    async def live(self, _: web.Request) -> web.Response:
        """Answer /healthz: 503 only for what a restart may mend."""
        if self._failure:
            return _unwell(self._failure + "\n")
        dead = self._pulse.dead()
        return _unwell(_told(dead, "although the API server answers")) if dead else web.Response(text=_OK)

    async def ready(self, _: web.Request) -> web.Response:
        """Answer /readyz: 503 while what is known may be old, whoever is to blame."""
        if not self._primed:
            return _unwell("listing\n")
        stale = self._pulse.stale()
        if stale:
            return _unwell(_told(stale, "what is known of it may be old"))
        return web.Response(text=_OK)

    async def watches(self, _: web.Request) -> web.Response:
        """Answer /watches: the seconds since the last sign of life, a watch a line."""
        return web.Response(text="".join(f"{_name(one)} {age:.1f}\n" for one, age in self._pulse.ages().items()))


def _told(ages: Mapping[Resource, float], what: str) -> str:
    return "".join(f"the watch of {_name(one)} has been silent for {age:.0f} s, {what}\n" for one, age in ages.items())


def _name(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}"


def _unwell(text: str) -> web.Response:
    return web.Response(status=503, text=text)


async def serve_health(health: Health, listen: str, port: int) -> web.AppRunner:
    """Serve /healthz, /readyz and /watches until the runner is cleaned up."""
    app = web.Application()
    app.add_routes(
        [web.get("/healthz", health.live), web.get("/readyz", health.ready), web.get("/watches", health.watches)]
    )
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
