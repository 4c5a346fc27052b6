"""A model server of forty lines for release tests: no torch, 20 ms a request; versions named in BAD answer 500.

Reads $PORT, $MODEL_VERSION, $BAD (comma-separated) and $MILLISECONDS. Answers with the header x-version.
"""

import asyncio
import os
import signal

from aiohttp import web

VERSION = os.environ.get("MODEL_VERSION", "")
IS_BAD = VERSION in os.environ.get("BAD", "").split(",")
SECONDS = float(os.environ.get("MILLISECONDS", "20")) / 1000


async def _ready(_: web.Request) -> web.Response:
    return web.Response(text="ready")


async def _infer(request: web.Request) -> web.Response:
    await request.read()
    await asyncio.sleep(SECONDS)
    answer = {"model_version": VERSION}
    return web.json_response(answer, status=500 if IS_BAD else 200, headers={"x-version": VERSION})


async def _main() -> None:
    app = web.Application()
    app.add_routes([web.get("/v2/health/ready", _ready), web.route("*", "/{tail:.*}", _infer)])
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"])).start()
    await stopping.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_main())
