"""Requests to model servers: every bound holds against a server that does its worst."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from modelops.adapters.http_servers import HttpServers
from modelops.errors import ModelopsError, Stalled, Transient

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
Respond = Callable[[BaseHTTPRequestHandler, bytes], None]


@contextmanager
def served(respond: Respond) -> Iterator[tuple[str, list[str]]]:
    """Serve; give the address, and what was asked over which connection."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind = self.headers.get("Content-Type", "-")
            asked.append(f"{self.client_address[1]} {self.command} {self.path} {kind} {body.decode()}")
            with suppress(ConnectionError):
                respond(self, body)

        do_GET = do_POST = _any  # noqa: N815 - their names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def says(status: int, body: bytes, **headers: str) -> Respond:
    """Return a server that always says this."""

    def respond(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return respond


def trickles(head: bytes) -> Respond:
    """Return a server that goes on sending a byte every now and then, after a head."""

    def respond(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.wfile.write(head)
        for _ in range(200):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    return respond


def problem(respond: Respond, *, timeout: timedelta = SECOND / 2) -> ModelopsError:
    """Return what a request ends with, and see that it ended in time."""
    begun = time.monotonic()
    with served(respond) as (address, _), HttpServers().at(address, within=MINUTE) as server:
        with pytest.raises(ModelopsError) as raised:
            server.ask("/", None, timeout)
        assert time.monotonic() - begun < 5
    return raised.value


def test_answers_come_as_they_are_over_one_connection() -> None:
    """JSON is posted, what has no body is a GET; both count their own time."""
    with served(says(200, b'{"price": 1}')) as (address, asked):
        with HttpServers().at(address, within=MINUTE) as server:
            first = server.ask("/v2/models/price/infer", b"{}", SECOND)
            second = server.ask("/metrics", None, SECOND)
        assert (first.status, first.body, second.status) == (200, b'{"price": 1}', 200)
        assert 0 < second.seconds < 1
        port = asked[0].split()[0]
        assert asked == [f"{port} POST /v2/models/price/infer application/json {{}}", f"{port} GET /metrics - "]


def test_bearer_is_shown_where_it_is_wanted() -> None:
    """And not with the next request."""
    seen: list[str | None] = []

    def respond(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append(handler.headers.get("Authorization"))
        says(200, b"{}")(handler, body)

    with served(respond) as (address, _), HttpServers().at(address, within=MINUTE) as server:
        server.ask("/answers", None, SECOND, bearer="abc")
        server.ask("/metrics", None, SECOND)
    assert seen == ["Bearer abc", None]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_no_status_is_followed_or_raised(status: int) -> None:
    """A redirect is an answer like any other: nobody is sent on to another host."""
    with served(says(status, b"no", Location="http://127.0.0.1:1/")) as (address, asked):
        with HttpServers().at(address, within=MINUTE) as server:
            assert server.ask("/", None, SECOND).status == status
        assert len(asked) == 1


def test_no_proxy_and_no_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy is for others, and nothing is remembered of an answer."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    seen: list[str | None] = []

    def respond(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append(handler.headers.get("Cookie"))
        says(200, b"{}", Set_Cookie="a=b")(handler, body)

    with served(respond) as (address, _), HttpServers().at(address, within=MINUTE) as server:
        assert [server.ask("/", None, SECOND).status for _ in range(2)] == [200, 200]
    assert seen == [None, None]


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"", id="status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: ", id="header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="body without an end"),
    ],
)
def test_trickle_of_bytes_prolongs_nothing(head: bytes) -> None:
    """The deadline is that of the whole answer."""
    found = problem(trickles(head))
    assert (type(found), found.reason) == (Transient, "NoAnswer")


def test_silence_and_broken_answers_are_no_answer() -> None:
    """Neither names a verdict by itself."""
    assert problem(lambda *_: time.sleep(2)).message == "no answer within 0.5 s"
    assert problem(lambda handler, _: handler.wfile.write(b"nonsense\r\n\r\n")).reason == "NoAnswer"
    short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"

    def hangs_up(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.wfile.write(short)
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)

    assert problem(hangs_up).reason == "NoAnswer"


@pytest.mark.parametrize("endless", [False, True])
def test_answer_that_is_too_large_is_refused(endless: bool) -> None:
    """Also one that does not say how large it is."""

    def respond(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(10_000):
            handler.wfile.write(b"x" * 65536)

    found = problem(respond if endless else says(200, b"x" * 65537), timeout=SECOND * 5)
    assert (type(found), found.reason) == (Stalled, "AnswerTooLarge")


def test_compressed_answer_stays_compressed() -> None:
    """Nothing grows in the operator."""
    compressed = says(200, b"\x1f\x8b", Content_Encoding="gzip")
    with served(compressed) as (address, _), HttpServers().at(address, within=MINUTE) as server:
        assert server.ask("/", None, SECOND).body == b"\x1f\x8b"


def test_nobody_there_is_told_from_no_answer() -> None:
    """A refused connection, a name that nobody knows, and a host that takes no connection."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        for address in (f"127.0.0.1:{bound.getsockname()[1]}", "no-such.invalid"):
            with HttpServers().at(address, within=MINUTE) as server, pytest.raises(Transient) as raised:
                server.ask("/", None, SECOND * 5)
            assert raised.value.reason == "ServerUnreachable"
            assert raised.value.message.startswith(f"{address}: ")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = f"127.0.0.1:{full.getsockname()[1]}"
        taken = socket.create_connection(full.getsockname()[:2])
        with taken, HttpServers().at(address, within=MINUTE) as server, pytest.raises(Transient) as raised:
            server.ask("/", None, SECOND)
        assert raised.value.message == f"{address}: no connection within 0.5 s"


def test_after_the_whole_time_there_are_no_more_answers() -> None:
    """However many requests there are."""
    with served(says(200, b"{}")) as (address, asked):
        with HttpServers().at(address, within=timedelta(0)) as server, pytest.raises(Transient, match="no time"):
            server.ask("/", None, SECOND)
        assert asked == []
