"""A proxy in front of an API server that breaks what it is told to break, and remembers every request.

It speaks HTTP/1.1, plain or TLS, to its clients and to the server. A rule says which requests it is about and what
happens to them; of several that fit, the one added first is taken. Rules also reach watches that run already.
"""

import asyncio
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.faults import Answer, Delay, Fault, HalfClose, InStream, Reset, Rule, Seen

_LINE = 64 * 1024
_LOOK = 0.05
"""How often a stream is looked after whose client may have gone. Seconds."""


class _Gone(Exception):
    """The connection is over, by a fault or by one of its ends."""


@dataclass(eq=False, slots=True)
class _Stream:
    """A watch under way."""

    seen: Seen
    faults: "asyncio.Queue[Fault]" = field(default_factory=asyncio.Queue)


class FaultProxy:
    """One proxy on a port of its own, in a thread of its own. `start` it, `stop` it.

    Args:
        target: address of the API server; its certificate is not checked.
        tls: for the clients' side; None speaks plain HTTP to them.
    """

    def __init__(self, target: str, *, tls: ssl.SSLContext | None = None) -> None:
        self._target = urlsplit(target)
        self._tls = tls
        self._rules: list[Rule] = []
        self._seen: list[Seen] = []
        self._streams: set[_Stream] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def stop(self) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def add(self, rule: Rule) -> Rule:
        """Let a rule hold from now on, for requests to come and for watches that run."""

        async def adding() -> None:
            rule.until = None if rule.seconds is None else time.monotonic() + rule.seconds
            self._rules.append(rule)
            if not isinstance(rule.fault, Delay | Answer):
                for stream in list(self._streams):
                    if rule.strikes(stream.seen):
                        stream.faults.put_nowait(rule.fault)

        self._do(adding())
        return rule

    def remove(self, rule: Rule) -> None:
        """Let a rule hold no more; what it broke stays broken."""

        async def removing() -> None:
            self._rules.remove(rule)

        self._do(removing())

    def clear(self) -> None:
        """Let no rule hold any more; what they broke stays broken."""

        async def clearing() -> None:
            self._rules.clear()

        self._do(clearing())

    def seen(self) -> list[Seen]:
        """Return every request so far, in the order they came."""
        return list(self._seen)

    def watches(self) -> list[Seen]:
        """Return the watches that run now."""

        async def running() -> list[Seen]:
            return [stream.seen for stream in self._streams]

        found: list[Seen] = self._do(running())
        return found

    # --- on the loop -------------------------------------------------------------------------------------------

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls, limit=_LINE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        connection = _Connection(self, reader, writer)
        try:
            await connection.serve()
        except asyncio.CancelledError:
            # By `stop` alone; asyncio would report it as an error of the server.
            pass
        except (_Gone, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            connection.close()
            self._connections.discard(task)


class _Connection:
    """One client's connection, and the one to the server that belongs to it."""

    def __init__(self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        self._writer.close()
        if self._server is not None:
            self._server[1].close()

    async def serve(self) -> None:
        """Pass requests on until an end goes."""
        proxy = self._proxy
        while head := await _head(self._reader):
            request = head + await self._body(head)
            method, path, _ = head.split(b" ", 2)
            seen = Seen(method.decode(), path.decode(), bool(re.search(rb"[?&]watch=(1|true)", path)), time.monotonic())
            proxy._seen.append(seen)
            rule = next((rule for rule in list(proxy._rules) if rule.strikes(seen)), None)
            if rule is not None and isinstance(rule.fault, Answer):
                seen.code = rule.fault.code
                self._writer.write(_status(rule.fault))
                await self._writer.drain()
                continue
            if rule is not None and isinstance(rule.fault, Delay):
                await asyncio.sleep(rule.fault.seconds)
            elif rule is not None and not isinstance(rule.fault, InStream):
                await self._break(rule.fault)
            _, upstream = await self._connected()
            upstream.write(request)
            await upstream.drain()
            await self._answer(seen, rule.fault if rule is not None and isinstance(rule.fault, InStream) else None)

    async def _body(self, head: bytes) -> bytes:
        length = _field(head, b"content-length")
        if length is not None:
            return await self._reader.readexactly(int(length))
        if _field(head, b"transfer-encoding") is None:
            return b""
        body = chunk = await _chunk(self._reader)
        while not chunk.startswith(b"0"):
            chunk = await _chunk(self._reader)
            body += chunk
        return body

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._server is None or self._server[0].at_eof():
            target = self._proxy._target
            context = ssl._create_unverified_context() if target.scheme == "https" else None
            self._server = await asyncio.open_connection(target.hostname, target.port, ssl=context, limit=_LINE)
        return self._server

    async def _answer(self, seen: Seen, planned: InStream | None) -> None:
        reader, _ = await self._connected()
        head = await _head(reader)
        if not head:
            raise _Gone
        seen.code = int(head.split(b" ", 2)[1])
        self._writer.write(head)
        length = _field(head, b"content-length")
        if seen.method == "HEAD" or seen.code in (204, 304):
            pass
        elif seen.watch and length is None and seen.code < 300:
            await self._stream(seen, reader, planned)
        elif length is not None:
            self._writer.write(await reader.readexactly(int(length)))
        else:
            chunk = b""
            while not chunk.startswith(b"0\r\n"):
                chunk = await _chunk(reader)
                self._writer.write(chunk)
        await self._writer.drain()

    async def _stream(self, seen: Seen, reader: asyncio.StreamReader, planned: InStream | None) -> None:
        """Pass a watch on, chunk by chunk, until it ends or a fault strikes it."""
        stream = _Stream(seen)
        if planned is not None:
            stream.faults.put_nowait(planned)
        self._proxy._streams.add(stream)
        struck = asyncio.ensure_future(stream.faults.get())
        reading: asyncio.Task[bytes] | None = None
        whole = True
        try:
            while True:
                reading = reading or asyncio.ensure_future(_chunk(reader))
                waiting = {reading} if struck.done() else {reading, struck}
                await asyncio.wait(waiting, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
                if struck.done() and (whole or not isinstance(struck.result(), InStream)):
                    await self._break(struck.result())
                if reading.done():
                    chunk, reading = reading.result(), None
                    self._writer.write(chunk)
                    await self._writer.drain()
                    whole = chunk.endswith(b"\n\r\n")
                    if chunk.startswith(b"0\r\n"):
                        return
                elif self._reader.at_eof():
                    raise _Gone
        finally:
            self._proxy._streams.discard(stream)
            struck.cancel()
            if reading is not None:
                reading.cancel()
                with suppress(asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
                    await reading

    async def _break(self, fault: Fault) -> None:
        """Do to the client what the fault says; never returns."""
        handle: socket.socket = self._writer.get_extra_info("socket")
        match fault:
            case InStream(code=code):
                event = json.dumps({"type": "ERROR", "object": _status_object(code)}).encode() + b"\n"
                self._writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n0\r\n\r\n")
                await self._writer.drain()
            case HalfClose():
                await self._writer.drain()
                handle.shutdown(socket.SHUT_WR)
                await self._swallow()
            case Reset():
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._writer.transport.abort()
            case _:
                await self._swallow()
        raise _Gone

    async def _swallow(self) -> None:
        """Take what the client sends until it goes; the server is left at once."""
        if self._server is not None:
            self._server[1].close()
        while await self._reader.read(_LINE):
            pass


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Return everything up to the empty line; nothing if the other end has gone."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """Return one chunk as it stands on the wire."""
    size = await reader.readuntil(b"\r\n")
    return size + await reader.readexactly(int(size.partition(b";")[0], 16) + 2)


def _field(head: bytes, name: bytes) -> bytes | None:
    found = re.search(rb"(?im)^" + name + rb":[ \t]*([^\r\n]*)", head)
    return found[1].strip() if found else None


def _status_object(code: int) -> dict[str, Any]:
    reason = {409: "Conflict", 410: "Expired", 429: "TooManyRequests"}.get(code, "InternalError")
    told = f"the fault proxy says {code}"
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": told}


def _status(fault: Answer) -> bytes:
    body = json.dumps(_status_object(fault.code)).encode()
    after = "" if fault.retry_after is None else f"Retry-After: {fault.retry_after}\r\n"
    head = (
        f"HTTP/1.1 {fault.code} Fault\r\nContent-Type: application/json\r\n{after}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
