"""The ModelServers port: requests to model servers over HTTP, by aiohttp.

Called by the release reconciler, for smoke tests and for answers to compare, from threads of their own. What answers
belongs to a tenant, so every bound is real: a deadline that no trickle of bytes prolongs, a largest answer, no
redirect, no proxy, no cookie, and nothing is decompressed.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import aiohttp

from modelops.errors import Stalled, Transient
from modelops.ports import Answer, ModelServer

_LARGEST: Final = 64 * 1024
_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "modelops"}


class HttpServers:
    """Implements `ports.ModelServers`."""

    @contextmanager
    def at(self, address: str, *, within: timedelta) -> Iterator[ModelServer]:
        """Open a connection when the first request is sent, keep it, and close it at the end."""
        until = time.monotonic() + within.total_seconds()
        with asyncio.Runner() as runner:
            session = runner.run(_session())
            try:
                yield _Server(address, until, runner, session)
            finally:
                runner.run(session.close())


class _Server:
    def __init__(self, address: str, until: float, runner: asyncio.Runner, session: aiohttp.ClientSession) -> None:
        self._address = address
        self._until = until
        self._runner = runner
        self._session = session

    def ask(self, path: str, body: bytes | None, timeout: timedelta, bearer: str = "") -> Answer:
        left = min(timeout.total_seconds(), self._until - time.monotonic())
        if left <= 0:
            raise Transient("NoAnswer", "no time was left for it")
        begun = time.perf_counter()
        try:
            status, answer = self._runner.run(self._ask(path, body, left, bearer))
        except aiohttp.ClientConnectorError as error:
            raise Transient("ServerUnreachable", f"{self._address}: {error.os_error.strerror or error}") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise Transient("ServerUnreachable", f"{self._address}: no connection within {left / 2:.3g} s") from error
        except TimeoutError as error:
            raise Transient("NoAnswer", f"no answer within {left:.3g} s") from error
        except aiohttp.ClientError as error:
            raise Transient("NoAnswer", f"no whole answer: {type(error).__name__}") from error
        if len(answer) > _LARGEST:
            raise Stalled("AnswerTooLarge", f"the answer is larger than {_LARGEST // 1024} KiB")
        return Answer(status, answer, time.perf_counter() - begun)

    async def _ask(self, path: str, body: bytes | None, seconds: float, bearer: str) -> tuple[int, bytes]:
        method = "GET" if body is None else "POST"
        headers = {} if body is None else {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {bearer}"} if bearer else {}
        async with self._session.request(
            method,
            f"http://{self._address}{path}",
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=seconds, connect=seconds / 2),
        ) as answer:
            found = bytearray()
            async for part in answer.content.iter_any():
                found += part
                if len(found) > _LARGEST:
                    break
            return answer.status, bytes(found)


async def _session() -> aiohttp.ClientSession:
    jar = aiohttp.DummyCookieJar()
    return aiohttp.ClientSession(headers=_HEADERS, cookie_jar=jar, auto_decompress=False)
