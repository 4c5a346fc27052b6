"""A client that says exactly what goes over the wire: the contract suite's only way to a server."""

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
GROUP = "test.modelops.dev"
DEADLINE = 15.0


@dataclass(frozen=True)
class Answer:
    """One answer."""

    code: int
    body: Any
    headers: http.client.HTTPMessage

    @property
    def message(self) -> str:
        return str(self.body["message"])

    @property
    def causes(self) -> list[tuple[str, str]]:
        """Return reason and field of each cause, each once."""
        found = [(cause["reason"], cause["field"]) for cause in self.body["details"]["causes"]]
        return list(dict.fromkeys(found))


@dataclass
class Api:
    """A server, a token, and a namespace of the test's own."""

    url: str
    token: str
    namespace: str
    real: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        address = urlsplit(self.url)
        trusting = ssl._create_unverified_context()
        return http.client.HTTPSConnection(address.netloc, timeout=timeout, context=trusting)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "application/json",
        accept: str = "application/json",
        **query: Any,
    ) -> Answer:
        target = path + ("?" + urlencode(query, doseq=True) if query else "")
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind, "Accept": accept} | self.headers
        connection = self.connect()
        try:
            connection.request(method, target, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return Answer(answer.status, json.loads(text), answer.headers)
        except ValueError:
            return Answer(answer.status, text.decode(), answer.headers)

    def path(self, plural: str, name: str = "", sub: str = "", *, group: str = GROUP, version: str = "v1") -> str:
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        return (
            f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "") + (f"/{sub}" if sub else "")
        )

    def widget(self, name: str, metadata: dict[str, Any] | None = None, /, **spec: Any) -> dict[str, Any]:
        meta = {"name": name, **(metadata or {})}
        return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": meta, "spec": {"size": 5, **spec}}

    def create(self, name: str, metadata: dict[str, Any] | None = None, /, **spec: Any) -> dict[str, Any]:
        answer = self.call("POST", self.path("widgets"), self.widget(name, metadata, **spec), fieldManager="test")
        assert answer.code == 201, answer.body
        body: dict[str, Any] = answer.body
        return body

    def get(self, name: str) -> Answer:
        return self.call("GET", self.path("widgets", name))

    def patch(self, name: str, body: Any, sub: str = "", kind: str = MERGE, **query: Any) -> Answer:
        return self.call("PATCH", self.path("widgets", name, sub), body, kind=kind, **{"fieldManager": "test", **query})

    def apply(self, manager: str, name: str, sub: str = "", *, force: bool = False, **parts: Any) -> Answer:
        body = {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": name}, **parts}
        query = {"fieldManager": manager, **({"force": "true"} if force else {})}
        return self.call("PATCH", self.path("widgets", name, sub), body, kind=APPLY, **query)

    @contextmanager
    def watch(self, plural: str = "widgets", *, group: str = GROUP, **query: Any) -> Iterator["Events"]:
        """Watch; the events come in as they are sent."""
        connection = self.connect()
        target = self.path(plural, group=group) + "?" + urlencode({"watch": "true", **query})
        connection.request("GET", target, headers={"Authorization": f"Bearer {self.token}"})
        socket_ = connection.sock
        answer = connection.getresponse()
        events = Events(answer.status)
        reader = threading.Thread(target=events.read, args=(answer,), daemon=True)
        reader.start()
        try:
            yield events
        finally:
            # Only a shutdown wakes the reader, which holds the lock that closing would wait for.
            with contextlib.suppress(OSError):
                socket_.shutdown(socket.SHUT_RDWR)
            reader.join(DEADLINE)
            connection.close()


@dataclass
class Events:
    """What a watch has sent so far."""

    code: int
    seen: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False
    _news: threading.Condition = field(default_factory=threading.Condition)

    def read(self, answer: http.client.HTTPResponse) -> None:
        try:
            for line in answer:
                with self._news:
                    self.seen.append(json.loads(line))
                    self._news.notify_all()
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass
        with self._news:
            self.ended = True
            self._news.notify_all()

    def until(self, holds: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Wait until what was seen fulfils a condition; return it."""
        with self._news:
            assert self._news.wait_for(lambda: holds(self.seen), DEADLINE), self.seen
            return list(self.seen)

    def until_count(self, count: int) -> list[dict[str, Any]]:
        return self.until(lambda seen: len(seen) >= count)

    def told(self) -> list[tuple[str, str]]:
        """Return type and object name of every event."""
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in self.seen]


def eventually(holds: Callable[[], Any], told: Callable[[], Any] = lambda: "") -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, told()
        time.sleep(0.02)
