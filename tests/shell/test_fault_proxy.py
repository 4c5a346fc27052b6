"""The fault proxy injects what it says, over plain sockets: a fault that it only claims would prove nothing."""

import http.client
import json
import os
import select
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Answer, Delay, Drop, HalfClose, InStream, Reset, Rule
from tests.support.local_apiserver import LocalApiServer

POOLS = "/apis/modelops.dev/v1alpha1/computepools"
WATCH = f"{POOLS}?watch=1&timeoutSeconds=60"


@pytest.fixture
def proxy(api_server: LocalApiServer) -> Iterator[FaultProxy]:
    running = FaultProxy(api_server.url).start()
    yield running
    running.stop()


class Client:
    """One raw connection through the proxy."""

    def __init__(self, proxy: FaultProxy, token: str, tls: ssl.SSLContext | None = None) -> None:
        raw = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
        self.socket = raw if tls is None else tls.wrap_socket(raw)
        self._token = token

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._token}\r\n"
        kind = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n" if data else ""
        self.socket.sendall(f"{head}{kind}\r\n".encode() + data)

    def answer(self) -> tuple[http.client.HTTPResponse, bytes]:
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        return response, response.read()

    def until(self, text: bytes) -> bytes:
        got = b""
        while text not in got:
            received = self.socket.recv(65536)
            assert received, got
            got += received
        return got

    def is_silent(self, seconds: float) -> bool:
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1)
        except TimeoutError:
            return True
        return False


@pytest.fixture
def client(proxy: FaultProxy, api_server: LocalApiServer) -> Iterator[Client]:
    one = Client(proxy, api_server.token)
    yield one
    one.socket.close()


def test_without_rules_everything_passes_on_one_connection(proxy: FaultProxy, client: Client) -> None:
    """Reads and writes reach the server and are remembered with the codes of their answers."""
    client.send("POST", POOLS, {"metadata": {"name": "through"}, "spec": {"resourceName": "example.com/gpu"}})
    assert client.answer()[0].status == 201
    client.send("GET", f"{POOLS}/through")
    assert json.loads(client.answer()[1])["metadata"]["name"] == "through"
    client.send("DELETE", f"{POOLS}/through")
    assert client.answer()[0].status == 200

    assert [(seen.method, seen.code) for seen in proxy.seen()] == [("POST", 201), ("GET", 200), ("DELETE", 200)]


@pytest.mark.parametrize("code", [409, 410, 429, 500])
def test_an_answer_comes_in_the_servers_stead(proxy: FaultProxy, client: Client, code: int) -> None:
    """As a Status, with Retry-After if asked, as often as asked; the request never reaches the server."""
    rule = proxy.add(Rule(Answer(code, retry_after=7), method="POST", times=1))
    body = {"metadata": {"name": f"refused-{code}"}, "spec": {"resourceName": "example.com/gpu"}}

    client.send("POST", POOLS, body)
    response, said = client.answer()
    client.send("GET", f"{POOLS}/refused-{code}")
    absent, _ = client.answer()

    assert (response.status, response.headers["Retry-After"], json.loads(said)["code"]) == (code, "7", code)
    assert (absent.status, rule.hits) == (404, 1)


def test_a_rule_is_about_method_path_and_watch(proxy: FaultProxy, client: Client) -> None:
    """What does not fit all three passes."""
    proxy.add(Rule(Answer(500), method="GET", path="/computepools/", watch=False))

    client.send("GET", POOLS)
    assert client.answer()[0].status == 200
    client.send("GET", f"{POOLS}/none")
    assert client.answer()[0].status == 500
    client.send("DELETE", f"{POOLS}/none")
    assert client.answer()[0].status == 404


def test_a_rule_ends_by_time_or_by_hand(proxy: FaultProxy, client: Client) -> None:
    """After its seconds, and after its removal, requests pass again."""
    proxy.add(Rule(Answer(500), seconds=0.0))
    removed = proxy.add(Rule(Answer(500)))
    proxy.remove(removed)

    client.send("GET", POOLS)

    assert client.answer()[0].status == 200


def test_a_delay_is_a_delay(proxy: FaultProxy, client: Client) -> None:
    """The answer comes, later."""
    proxy.add(Rule(Delay(0.3)))
    begun = time.monotonic()

    client.send("GET", POOLS)

    assert client.answer()[0].status == 200
    assert time.monotonic() - begun >= 0.3


def test_a_dropped_request_gets_neither_answer_nor_fin(proxy: FaultProxy, client: Client) -> None:
    """The client hears nothing at all, and another connection is served."""
    proxy.add(Rule(Drop(), times=1))

    client.send("GET", POOLS)

    assert client.is_silent(0.5)


def test_a_reset_is_a_reset(proxy: FaultProxy, client: Client) -> None:
    """The client gets an RST, not an end of file."""
    proxy.add(Rule(Reset()))

    client.send("GET", POOLS)

    with pytest.raises(ConnectionResetError):
        client.socket.recv(1)


def test_a_half_closed_connection_ends_but_takes_more(proxy: FaultProxy, client: Client) -> None:
    """The client gets a FIN, and what it sends afterwards is not refused."""
    proxy.add(Rule(HalfClose()))

    client.send("GET", POOLS)
    assert client.socket.recv(1) == b""
    client.send("GET", POOLS)

    assert client.socket.recv(1) == b""


def watching(client: Client, proxy: FaultProxy) -> None:
    """Open a watch and wait until it runs."""
    client.send("GET", WATCH)
    client.until(b"\r\n\r\n")
    deadline = time.monotonic() + 5
    while not proxy.watches():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def change(api_server: LocalApiServer, proxy: FaultProxy, name: str) -> None:
    """Make an event for every watch of pools, through the proxy, and take it back."""
    other = Client(proxy, api_server.token)
    other.send("POST", POOLS, {"metadata": {"name": name}, "spec": {"resourceName": "example.com/gpu"}})
    assert other.answer()[0].status == 201
    other.send("DELETE", f"{POOLS}/{name}")
    assert other.answer()[0].status == 200
    other.socket.close()


def test_a_running_watch_passes_events(proxy: FaultProxy, client: Client, api_server: LocalApiServer) -> None:
    """Without a fault each event arrives."""
    watching(client, proxy)
    change(api_server, proxy, "seen")

    assert b"DELETED" in client.until(b'"DELETED"')


def test_a_running_watch_is_blackholed(proxy: FaultProxy, client: Client, api_server: LocalApiServer) -> None:
    """Events stop without a FIN, while other requests pass; the connection stays dead when the rule is gone."""
    watching(client, proxy)
    rule = proxy.add(Rule(Drop(), watch=True))
    change(api_server, proxy, "unseen")
    assert client.is_silent(0.5)
    proxy.remove(rule)
    change(api_server, proxy, "unseen-too")

    assert client.is_silent(0.3)
    assert rule.hits == 1


def test_a_running_watch_is_half_closed(proxy: FaultProxy, client: Client) -> None:
    """It ends in the middle: no last chunk, only a FIN."""
    watching(client, proxy)

    proxy.add(Rule(HalfClose(), watch=True))

    rest = b""
    while received := client.socket.recv(65536):
        rest += received
    assert not rest.endswith(b"0\r\n\r\n")


def test_a_running_watch_is_reset(proxy: FaultProxy, client: Client) -> None:
    """It ends with an RST."""
    watching(client, proxy)

    proxy.add(Rule(Reset(), watch=True))

    with pytest.raises(ConnectionResetError):
        client.until(b"never said")


@pytest.mark.parametrize("code", [410, 500])
def test_a_running_watch_gets_an_error_event(proxy: FaultProxy, client: Client, code: int) -> None:
    """As etcd's compaction has it: an ERROR event inside the stream, then its end."""
    watching(client, proxy)

    proxy.add(Rule(InStream(code), watch=True, times=1))

    said = client.until(b"0\r\n\r\n")
    assert b'"type": "ERROR"' in said
    assert f'"code": {code}'.encode() in said


def test_it_speaks_tls_to_clients_if_asked(api_server: LocalApiServer, tmp_path: Path) -> None:
    """With a certificate of its own; a reset is a reset there too."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=proxy"]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    proxy = FaultProxy(api_server.url, tls=context).start()
    try:
        client = Client(proxy, api_server.token, ssl._create_unverified_context())
        client.send("GET", POOLS)
        assert client.answer()[0].status == 200
        proxy.add(Rule(Reset()))
        client.send("GET", POOLS)
        select.select([client.socket], [], [], 5)
        # TLS would report the end of the socket only.
        with pytest.raises(ConnectionResetError):
            os.read(client.socket.fileno(), 1)
    finally:
        proxy.stop()
