"""kopf's way to the API server: one HTTP session of ours, so that we see what kopf does not tell.

It notes signs of life, hands whole lists and changes on, reads a renewed token, makes silent watches anew, and turns
whatever a watch may be refused with into what kopf takes as "list again": kopf ends for most of it, and a 410 is the
one error that it survives. In the stead of a change kopf gets a bookmark: how far the watch has come is all that it
needs to know.
"""

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import aiohttp
import orjson

from modelops.adapters.cluster import path_of
from modelops.adapters.kubeconfig import Connection
from modelops.api.kinds import Resource
from modelops.shell.pulse import Pulse

_ANSWER_SECONDS: Final = 15.0
"""For the head of an answer: an API server begins to answer a watch at once."""
_LONGEST_PAUSE: Final = 10.0
_RETRIED_BY_KOPF: Final = frozenset({403, 429})
_ERROR: Final = re.compile(rb'\s*\{\s*"type"\s*:\s*"ERROR"')
_CHANGE: Final = re.compile(rb'\s*\{\s*"type"\s*:\s*"MODIFIED"')
_LIST_AGAIN: Final = b'{"type":"ERROR","object":{"code":410}}\n'

OnList = Callable[[Resource, Sequence[Mapping[str, Any]], str], None]
"""Told resource, items and the list's resourceVersion."""


class OnEvent(Protocol):
    """Told of one change."""

    def __call__(self, resource: Resource, obj: Mapping[str, Any], *, deleted: bool) -> None:
        """Take an object as it is now."""
        ...


class Backoffs:
    """Endless pauses between tries: kopf gives up after a finite number of them, and takes the operator along.

    Args:
        longest: of them. Seconds.
    """

    def __init__(self, longest: float = _LONGEST_PAUSE) -> None:
        self._longest = longest

    def __iter__(self) -> Iterator[float]:
        """Yield seconds: half of one, then twice as long each time, up to the longest."""
        pause = 0.5
        while True:
            yield min(self._longest, pause)
            pause = min(self._longest, pause * 2)


def backoffs_for(silence: float) -> Backoffs:
    """Return pauses short enough that a watch comes back before it is taken for dead."""
    return Backoffs(min(_LONGEST_PAUSE, silence / 2))


class Session:
    """What every request of kopf passes.

    Args:
        connection: the API server.
        resources: those whose lists and watches are looked at.
        pulse: told of every sign of life.
        on_list: told of every whole list.
        on_event: told of every object that has changed, in the order of the watch.
        silence: after so many seconds without a byte a watch is made anew.
    """

    def __init__(
        self,
        connection: Connection,
        resources: Sequence[Resource],
        pulse: Pulse,
        on_list: OnList,
        on_event: OnEvent,
        *,
        silence: float,
    ) -> None:
        self._connection = connection
        self._resources = resources
        self._pulse = pulse
        self._on_list = on_list
        self._on_event = on_event
        self._silence = silence
        self._pauses = {resource: iter(backoffs_for(silence)) for resource in resources}

    def open(self, agent: str) -> aiohttp.ClientSession:
        """Return the session; called on the event loop that uses it, which also closes it."""
        tls = self._connection.tls
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=True if tls is None else tls),
            headers={"User-Agent": agent},
            middlewares=(self._pass,),
        )

    async def _pass(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        response = await self._answer(request, handler)
        if response.status == 401:
            response.release()
            self._connection.token.renewed()
            response = await self._answer(request, handler)
            if response.status == 401:
                response.release()
                # Not kopf's own login: it would end for want of another one.
                raise aiohttp.ClientConnectionError("the API server does not accept the token")
        resource = self._about(request.url.path)
        if resource is None or request.method != "GET":
            return response
        if request.url.query.get("watch") != "true":
            await self._listed(resource, response)
        elif response.status < 500 and response.status not in _RETRIED_BY_KOPF:
            self._watched(resource, response)
        return response

    async def _answer(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers.update(self._connection.token.headers())
        if self._connection.server_name:
            request.server_hostname = self._connection.server_name
        async with asyncio.timeout(min(_ANSWER_SECONDS, self._silence)):
            return await handler(request)

    def _about(self, path: str) -> Resource | None:
        bare = re.sub(r"/namespaces/[^/]+(?=/)", "", path)
        return next((resource for resource in self._resources if path_of(resource, None) == bare), None)

    async def _listed(self, resource: Resource, response: aiohttp.ClientResponse) -> None:
        if response.status != 200:
            return
        # kopf asks for the body again; it is kept.
        answer = orjson.loads(await response.read())
        self._pulse.sign(resource)
        self._on_list(resource, answer.get("items") or (), str(answer["metadata"].get("resourceVersion", "")))

    def _watched(self, resource: Resource, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:
            self._pulse.sign(resource)
            response.content = _Lines(self, resource, response.content, self._silence)  # type: ignore[assignment]
        else:
            response.content = _Refused(self, resource, response.content)  # type: ignore[assignment]
            response.status = 200

    def heard(self, resource: Resource) -> None:
        """A watch has given a sign of life."""
        self._pulse.sign(resource)

    def well(self, resource: Resource) -> None:
        """A watch has told something other than an error."""
        self._pauses[resource] = iter(backoffs_for(self._silence))

    def changed(self, resource: Resource, line: bytes) -> bytes:
        """Take a change that a watch has told of; return what kopf is told instead."""
        obj = orjson.loads(line)["object"]
        # Not here: whatever one object does to whoever is told of it, the watch goes on.
        asyncio.get_running_loop().call_soon(functools.partial(self._on_event, resource, obj, deleted=False))
        version = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}}
        return orjson.dumps({"type": "BOOKMARK", "object": version}) + b"\n"

    async def pause(self, resource: Resource) -> None:
        """Wait before a list that follows an error, longer each time."""
        await asyncio.sleep(next(self._pauses[resource]))


class _Body:
    """A response's body in the stead of aiohttp's; whatever is not about reading is left to that."""

    def __init__(self, session: Session, resource: Resource, content: aiohttp.StreamReader) -> None:
        self._session = session
        self._resource = resource
        self._content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def _again(self) -> bytes:
        await self._session.pause(self._resource)
        return _LIST_AGAIN


class _Refused(_Body):
    """The body of a watch that was refused with a code that kopf would end for."""

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        yield await self._again()


class _Lines(_Body):
    """The body of a watch: whole lines, until it ends, breaks, or is silent for too long."""

    def __init__(self, session: Session, resource: Resource, content: aiohttp.StreamReader, silence: float) -> None:
        super().__init__(session, resource, content)
        self._silence = silence

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        rest = b""
        # What is left of a line when the watch ends is no event: kopf would stumble over it.
        while chunk := await self._read():
            self._session.heard(self._resource)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if _ERROR.match(line):
                    yield await self._again()
                    return
                self._session.well(self._resource)
                yield self._session.changed(self._resource, line) if _CHANGE.match(line) else line + b"\n"

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(self._silence):
                return await self._content.readany()
        except TimeoutError:
            # kopf goes on after this where it was, with a new watch.
            raise aiohttp.ClientPayloadError(f"silent for {self._silence:g} s") from None
