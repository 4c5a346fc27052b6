"""A model server of fifty lines for release tests: no torch, 20 ms a request, and faults for versions of choice.

Reads $PORT, $HOST, $MODEL_VERSION and $MILLISECONDS. Of the comma-separated versions in $BAD every request is answered
with 500, once $BAD_AFTER seconds (0) have passed, in $SLOW half a second late, in $HANG never; those in $CRASH end
themselves after $CRASH_AFTER seconds. Answers with the header x-version, and for $DRAIN seconds (0) after SIGTERM.
"""

import asyncio
import os
import signal
import time

from aiohttp import web

VERSION = os.environ.get("MODEL_VERSION", "")
BAD_AFTER = float(os.environ.get("BAD_AFTER", "0"))
STARTED = time.monotonic()
SECONDS = float(os.environ.get("MILLISECONDS", "20")) / 1000


def _is(fault: str) -> bool:
    return VERSION in os.environ.get(fault, "").split(",")


async def _ready(_: web.Request) -> web.Response:
    return web.Response(text="ready")


async def _infer(request: web.Request) -> web.Response:
    await request.read()
    await asyncio.sleep(3600 if _is("HANG") else SECONDS + 0.5 * _is("SLOW"))
    answer = {"model_version": VERSION}
    bad = _is("BAD") and time.monotonic() - STARTED >= BAD_AFTER
    return web.json_response(answer, status=500 if bad else 200, headers={"x-version": VERSION})


async def _main() -> None:
    app = web.Application()
    app.add_routes([web.get("/v2/health/ready", _ready), web.route("*", "/{tail:.*}", _infer)])
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])).start()
    if _is("CRASH"):
        asyncio.get_running_loop().call_later(float(os.environ["CRASH_AFTER"]), os._exit, 3)
    await stopping.wait()
    await asyncio.sleep(float(os.environ.get("DRAIN", "0")))
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_main())
