"""The HTTP side: who may ask, which verb a request is, and answers in Kubernetes' form. `__main__` serves it."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from modelops.localhome.apiserver import (
    answers,
    discovery,
    openapi,
    patches,
    reads,
    requests,
    rules,
    scale,
    structural,
    tables,
)
from modelops.localhome.apiserver.answers import ApiError, Obj
from modelops.localhome.apiserver.lifecycle import DEFINITIONS, NAMESPACES, Lifecycle
from modelops.localhome.apiserver.reads import json_response
from modelops.localhome.apiserver.requests import APPLY, JSON, JSON_PATCH, MERGE, STRATEGIC, YAML, Target
from modelops.localhome.apiserver.resources import Catalogue
from modelops.localhome.apiserver.store import Change, Store, Stored, WriteFailed
from modelops.localhome.apiserver.writes import Options, Writes

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_BODY_LIMIT = 3 * 1024 * 1024
_OPEN = frozenset({"/healthz", "/livez", "/readyz", "/version"})
"""What is answered without a token, as Kubernetes does."""
_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Server:
    """The API over one store."""

    def __init__(self, store: Store, definitions: list[Obj], token: str) -> None:
        self.store = store
        self.catalogue = Catalogue(stored.obj for stored in store.objects(DEFINITIONS))
        self.closing = asyncio.Event()
        self._token = token.encode()
        self._pending: asyncio.Handle | None = None
        self.lifecycle = Lifecycle(store, self._wake)
        self.writes = Writes(store, self.lifecycle)
        store.listen(self._follow_definitions)
        self._bootstrap(definitions)

    def _bootstrap(self, definitions: list[Obj]) -> None:
        """Make what must be there: the definitions from the files, the namespace `default`."""
        kind = self.catalogue.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        namespaces = self.catalogue.find("", "v1", "namespaces")
        assert kind is not None
        assert namespaces is not None
        options = Options(manager="modelops-local")
        for crd in definitions:
            if wrong := [
                problem for version in crd["spec"]["versions"] for problem in rules.problems(_schema(version))
            ]:
                raise answers.bad_request(f"{crd['metadata']['name']}: {wrong[0]}")
            self.writes.apply(kind, "", crd["metadata"]["name"], "", crd, Options(manager="modelops-local", force=True))
        if self.store.get(NAMESPACES, "", "default") is None:
            self.writes.create(namespaces, "", {"metadata": {"name": "default"}}, options)

    def _follow_definitions(self, change: Change) -> None:
        if change.key == DEFINITIONS:
            if change.new is not None:
                self.catalogue.define(change.new.obj)
            elif change.old is not None:
                self.catalogue.undefine(change.old.obj)

    def _wake(self) -> None:
        if self._pending is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return  # Not serving yet; `app` collects at the start.
            self._pending = loop.call_later(0.005, self._collect)

    def _collect(self) -> None:
        self._pending = None
        self.lifecycle.collect()

    def app(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application(client_max_size=_BODY_LIMIT, middlewares=[self._guard])
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._shut)
        return app

    async def _start(self, _: web.Application) -> None:
        self._collect()

    async def _shut(self, _: web.Application) -> None:
        self.closing.set()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse who may not ask; answer refusals as metav1.Status."""
        try:
            self._admit(request)
            return await handler(request)
        except ApiError as error:
            return json_response(error.status(), error.code)
        except WriteFailed as error:
            refused = ApiError(507, "InsufficientStorage", str(error))
            return json_response(refused.status(), refused.code)

    def _admit(self, request: web.Request) -> None:
        """Refuse another Host than loopback (403) and another token (401)."""
        host = request.headers.get("Host", "")
        if host.rsplit(":", 1)[0] not in _HOSTS and host not in _HOSTS:
            # A page in a browser that was rebound to this address would send its own name.
            raise ApiError(403, "Forbidden", "this server answers only requests to 127.0.0.1 or localhost")
        if "/" + request.path.split("/")[1] in _OPEN:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
            raise ApiError(401, "Unauthorized", "Unauthorized")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/") or "/"
        document = self._document(request, path)
        if document is not None:
            if request.method not in {"GET", "HEAD"}:
                raise answers.method_not_allowed()
            return document
        if path.startswith("/apis/authorization.k8s.io/v1/"):
            return await self._review(request, path)
        target = requests.target(self.catalogue, path)
        if target is None:
            raise answers.no_such_path()
        if target.name is None:
            return await self._collection(request, target)
        return await self._object(request, target)

    def _document(self, request: web.Request, path: str) -> web.Response | None:  # noqa: C901 - a table of paths
        """Answer health, version, discovery and OpenAPI."""
        parts = path.strip("/").split("/")
        found: Any = None
        match parts:
            case ["healthz" | "livez" | "readyz", *_]:
                return web.Response(text="ok")
            case ["version"]:
                found = {"major": "1", "minor": "34", "gitVersion": "v1.34.0+modelops", "platform": "local/any"}
            case [""]:
                found = {
                    "paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]
                }
            case ["api"]:
                found = discovery.api_versions(request.host)
            case ["apis"]:
                found = discovery.groups(self.catalogue)
            case ["apis", group]:
                found = discovery.group(self.catalogue, group)
            case ["api", version]:
                found = discovery.resources(self.catalogue, "", version)
            case ["apis", group, version]:
                found = discovery.resources(self.catalogue, group, version)
            case ["openapi", "v3"]:
                found = openapi.index(self.catalogue)
            case ["openapi", "v3", "api", version]:
                found = openapi.document(self.catalogue, "", version)
            case ["openapi", "v3", "apis", group, version]:
                found = openapi.document(self.catalogue, group, version)
            case _:
                pass
        return None if found is None else json_response(found)

    async def _review(self, request: web.Request, path: str) -> web.Response:
        """Answer what the asker may do: everything, for it has the token."""
        kind = discovery.REVIEWS.get(path.rsplit("/", 1)[-1])
        if kind is None:
            raise answers.no_such_path()
        if request.method != "POST":
            raise answers.method_not_allowed()
        body = await requests.read_body(request, (JSON, YAML)) or {}
        every = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        status: Obj = {"allowed": True}
        if kind == "SelfSubjectRulesReview":
            status = {"resourceRules": [every], "nonResourceRules": [], "incomplete": False}
        answer = {"kind": kind, "apiVersion": "authorization.k8s.io/v1", "metadata": {}, "spec": body.get("spec", {})}
        return json_response({**answer, "status": status}, 201)

    async def _collection(self, request: web.Request, target: Target) -> web.StreamResponse:
        match request.method:
            case "GET" | "HEAD" if requests.flag(request, "watch"):
                return await reads.watch(request, self.store, target, self.closing)
            case "GET" | "HEAD":
                return reads.list_(request, self.store, target)
            case "POST" if target.namespace is not None:
                options = requests.options(request)
                body = await requests.read_body(request, (JSON, YAML))
                stored = self.writes.create(target.kind, target.home, body, options)
                return _written(request, target, stored, options, 201)
            case "DELETE":
                body = await requests.read_body(request, (JSON, YAML)) or {}
                options = requests.options(request, body)
                scope = requests.scope(request, target)
                gone = [
                    stored
                    for stored in self.store.objects(target.kind.key, scope.namespace)
                    if scope.selects(stored.obj)
                ]
                for stored in gone:
                    self.lifecycle.delete(target.kind, stored, _delete_options(request, body), dry_run=options.dry_run)
                head = {"apiVersion": target.kind.api_version, "kind": f"{target.kind.kind}List"}
                meta = {"resourceVersion": str(self.store.version)}
                return json_response({**head, "metadata": meta, "items": [stored.obj for stored in gone]})
            case _:
                raise answers.method_not_allowed()

    async def _object(self, request: web.Request, target: Target) -> web.StreamResponse:
        assert target.name is not None
        where = (target.kind, target.home, target.name)
        match request.method:
            case "GET" | "HEAD" if requests.flag(request, "watch"):
                return await reads.watch(request, self.store, target, self.closing)
            case "GET" | "HEAD" if target.subresource == "scale":
                return json_response(scale.view(target.kind, self.writes.existing(*where).obj))
            case "GET" | "HEAD":
                return reads.get(request, self.store, target)
            case "PUT" if target.subresource == "scale":
                body = await requests.read_body(request, (JSON, YAML))
                return self._scale(target, lambda _: body, requests.options(request))
            case "PUT":
                options = requests.options(request)
                body = await requests.read_body(request, (JSON, YAML))
                stored = self.writes.update(*where, target.subresource, body, options)
                return _written(request, target, stored, options, 200)
            case "PATCH":
                return await self._patch(request, target)
            case "DELETE" if not target.subresource:
                body = await requests.read_body(request, (JSON, YAML)) or {}
                options = requests.options(request, body)
                stored_ = self.store.get(target.kind.key, target.home, target.name)
                if stored_ is None:
                    raise answers.not_found(target.kind.group, target.kind.plural, target.name)
                last, gone = self.lifecycle.delete(
                    target.kind, stored_, _delete_options(request, body), dry_run=options.dry_run
                )
                return json_response(_deleted(target, last) if gone else last.raw)
            case _:
                raise answers.method_not_allowed()

    async def _patch(self, request: web.Request, target: Target) -> web.Response:
        kind = target.kind
        assert target.name is not None
        accepted = (JSON_PATCH, MERGE, APPLY) if kind.custom else (JSON_PATCH, MERGE, STRATEGIC, APPLY)
        body = await requests.read_body(request, accepted)
        options = requests.options(request)
        where = (kind, target.home, target.name)
        form = requests.content_type(request)
        if form == APPLY:
            if target.subresource == "scale":
                raise answers.unsupported_media_type((JSON_PATCH, MERGE))
            if not request.query.get("fieldManager"):
                told = "Required value: is required for apply patch"
                error = answers.FieldError("FieldValueRequired", "fieldManager", told)
                raise answers.invalid("meta.k8s.io", "PatchOptions", "", [error])
            stored, created = self.writes.apply(*where, target.subresource, body, options)
            return _written(request, target, stored, options, 201 if created else 200)
        schema = structural.whole(kind.schema)
        change: Callable[[Obj], Any]
        if form == JSON_PATCH:
            change = lambda obj: patches.json_patch(obj, body)  # noqa: E731
        elif form == MERGE:
            change = lambda obj: patches.merge_patch(obj, body)  # noqa: E731
        else:
            change = lambda obj: patches.strategic_merge_patch(obj, body, schema)  # noqa: E731
        if target.subresource == "scale":
            return self._scale(target, change, options)
        stored = self.writes.patch(*where, target.subresource, change, options)
        return _written(request, target, stored, options, 200)

    def _scale(self, target: Target, change: Callable[[Obj], Any], options: Options) -> web.Response:
        kind = target.kind
        assert target.name is not None
        stored = self.writes.patch(kind, target.home, target.name, "scale", scale.scaled(kind, change), options)
        return json_response(scale.view(kind, stored.obj))


def _written(request: web.Request, target: Target, stored: Stored, options: Options, code: int) -> web.Response:
    headers = [("Warning", f'299 - "{_quoted(text)}"') for text in options.warnings]
    if reads.wants_table(request):
        meta = {"resourceVersion": str(stored.version)}
        return json_response(tables.table(target.kind, [stored.obj], meta, "Metadata"), code, headers)
    return json_response(stored.raw, code, headers)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def _delete_options(request: web.Request, body: Obj) -> Obj:
    policy = request.query.get("propagationPolicy")
    return {**body, "propagationPolicy": policy} if policy else body


def _deleted(target: Target, last: Stored) -> Obj:
    details = {"name": target.name, "kind": target.kind.plural, "uid": last.obj["metadata"]["uid"]}
    if target.kind.group:
        details["group"] = target.kind.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _schema(version: Obj) -> Obj:
    found: Obj = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    return found
