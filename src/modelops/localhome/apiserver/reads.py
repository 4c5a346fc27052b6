"""The reading verbs: get, list in pages, watch; as objects or as tables for people."""

import asyncio
import base64
import random
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from aiohttp import web
from multidict import CIMultiDict

from modelops.localhome.apiserver import answers, requests, tables
from modelops.localhome.apiserver.answers import ApiError, Obj
from modelops.localhome.apiserver.requests import Target
from modelops.localhome.apiserver.store import Store, Stored
from modelops.localhome.apiserver.watch import Render, Watch, bookmark, line

BOOKMARK_EVERY = 30.0
"""Seconds without a word after which a watch gets a bookmark, if it asked for them."""


def wants_table(request: web.Request) -> bool:
    """Tell whether the client prefers a Table."""
    first = request.headers.get("Accept", "").split(",")[0].replace(" ", "")
    return "as=Table" in first and "g=meta.k8s.io" in first


def json_response(body: Any, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> web.Response:
    """Return a JSON answer; bytes are sent as they are."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return web.Response(body=raw, status=status, content_type="application/json", headers=CIMultiDict(headers))


def versioned(stored: Stored, target: Target) -> bytes:
    """Return an object's bytes in the version that the client speaks."""
    if stored.obj.get("apiVersion") == target.kind.api_version:
        return stored.raw
    return orjson.dumps({**stored.obj, "apiVersion": target.kind.api_version})


def get(request: web.Request, store: Store, target: Target) -> web.Response:
    """Answer a get.

    Raises:
        ApiError: 404.
    """
    assert target.name is not None
    stored = store.get(target.kind.key, target.home, target.name)
    if stored is None:
        raise answers.not_found(target.kind.group, target.kind.plural, target.name)
    if wants_table(request):
        meta = {"resourceVersion": str(stored.version)}
        include = request.query.get("includeObject", "Metadata")
        return json_response(tables.table(target.kind, [stored.obj], meta, include))
    return json_response(versioned(stored, target))


def list_(request: web.Request, store: Store, target: Target) -> web.Response:
    """Answer a list, in pages if asked for.

    Raises:
        ApiError: 400 or 410.
    """
    scope = requests.scope(request, target)
    _refuse_future(request, store)
    found = [stored for stored in store.objects(target.kind.key, scope.namespace) if scope.selects(stored.obj)]
    page, meta = _page(request, found, store.version)
    if wants_table(request):
        include = request.query.get("includeObject", "Metadata")
        return json_response(tables.table(target.kind, (stored.obj for stored in page), meta, include))
    head = {"apiVersion": target.kind.api_version, "kind": f"{target.kind.kind}List", "metadata": meta}
    items = b",".join(versioned(stored, target) for stored in page)
    return json_response(orjson.dumps(head)[:-1] + b',"items":[' + items + b"]}")


def _refuse_future(request: web.Request, store: Store) -> None:
    version = request.query.get("resourceVersion", "")
    if version and not version.isdecimal():
        raise answers.bad_request(f"Invalid value: {version!r}: strconv.ParseUint: parsing: invalid syntax")
    if version and int(version) > store.version:
        details: Obj = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]}
        told = f"Timeout: Too large resource version: {version}, current: {store.version}"
        raise ApiError(504, "Timeout", told, {**details, "retryAfterSeconds": 1})


def _page(request: web.Request, found: Sequence[Stored], version: int) -> tuple[Sequence[Stored], Obj]:
    """Return one page and its ListMeta. A token holds the last name served; pages are read from the present state."""
    meta: Obj = {"resourceVersion": str(version)}
    token = request.query.get("continue", "")
    if token:
        try:
            after = orjson.loads(base64.urlsafe_b64decode(token))
            last = (str(after["namespace"]), str(after["name"]))
        except (ValueError, KeyError, TypeError) as error:
            raise answers.bad_request("continue key is not valid") from error
        found = [stored for stored in found if _name(stored) > last]
        meta["resourceVersion"] = str(after["version"])
    limit = request.query.get("limit", "0")
    if not limit.isdecimal():
        raise answers.bad_request(f"limit: Invalid value: {limit!r}")
    most = int(limit)
    if most and len(found) > most:
        namespace, name = _name(found[most - 1])
        following = {"namespace": namespace, "name": name, "version": meta["resourceVersion"]}
        meta["continue"] = base64.urlsafe_b64encode(orjson.dumps(following)).decode()
        meta["remainingItemCount"] = len(found) - most
        found = found[:most]
    return found, meta


def _name(stored: Stored) -> tuple[str, str]:
    return stored.obj["metadata"].get("namespace") or "", stored.obj["metadata"]["name"]


def _renderer(request: web.Request, target: Target) -> Render:
    if not wants_table(request):
        return lambda stored: versioned(stored, target)
    include = request.query.get("includeObject", "Metadata")
    header = [True]

    def render(stored: Stored) -> bytes:
        meta = {"resourceVersion": str(stored.version)}
        body = tables.table(target.kind, [stored.obj], meta, include, header=header[0])
        header[0] = False
        return orjson.dumps(body)

    return render


async def watch(
    request: web.Request, store: Store, target: Target, closing: asyncio.Event, bookmark_every: float = BOOKMARK_EVERY
) -> web.StreamResponse:
    """Answer a watch until it times out, the client goes or the server closes.

    Raises:
        ApiError: 400.
    """
    scope = requests.scope(request, target)
    since = request.query.get("resourceVersion", "")
    if since and not since.isdecimal():
        raise answers.bad_request(f"Invalid value: {since!r}: strconv.ParseUint: parsing: invalid syntax")
    asked = request.query.get("timeoutSeconds", "0")
    limit = float(asked) if asked.isdecimal() and int(asked) else random.uniform(1800, 3600)  # noqa: S311 - spread only
    watching = Watch(store, scope, _renderer(request, target))
    try:
        started = _start(request, target, watching, since)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if started:
            await response.write(started)
        marks = (
            (lambda: bookmark(target.kind.api_version, target.kind.kind, watching.seen))
            if requests.flag(request, "allowWatchBookmarks")
            else lambda: b""
        )
        if not started.startswith(b'{"type":"ERROR"'):
            await _stream(response, watching, closing, limit, marks, bookmark_every)
    except (ConnectionError, BufferError):
        return response
    finally:
        watching.close()
    await response.write_eof()
    return response


async def _stream(
    response: web.StreamResponse,
    watching: Watch,
    closing: asyncio.Event,
    limit: float,
    marks: Callable[[], bytes],
    bookmark_every: float,
) -> None:
    clock = asyncio.get_running_loop().time
    end = clock() + limit
    marked = clock()
    while (left := end - clock()) > 0 and not closing.is_set():
        batch = await watching.next(min(left, 1.0))
        if not batch and clock() - marked >= bookmark_every:
            batch, marked = marks(), clock()
        if batch:
            await response.write(batch)
    if not closing.is_set() and (last := marks()):
        await response.write(last)


def _start(request: web.Request, target: Target, watching: Watch, since: str) -> bytes:
    """Return the first events: all objects, or what happened since a version, or why that is not known."""
    if requests.flag(request, "sendInitialEvents"):
        end = bookmark(target.kind.api_version, target.kind.kind, watching.seen, initial_end=True)
        return watching.initial() + end
    if since in {"", "0"}:
        return watching.initial()
    try:
        return watching.resume(int(since))
    except ApiError as error:
        return line("ERROR", orjson.dumps(error.status()))
