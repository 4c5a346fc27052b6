"""Cheap traffic for benchmarks: raw requests over kept connections, answers scanned and not parsed.

What loads the API server shares the machine with what is measured; a client of the usual kind would cost as much.
"""

import contextlib
import http.client
import re
import threading
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from modelops.adapters.kubeconfig import Connection

_SECONDS: Final = 30.0
_NAME: Final = re.compile(rb'"metadata":\{.*?"name":"([^"]+)","namespace"')
_GENERATION: Final = re.compile(rb'"generation":(\d+)')
_OBSERVED: Final = re.compile(rb'.*"observedGeneration":(\d+)', re.DOTALL)
"""The last one: those of the conditions stand before it."""


class Refused(Exception):
    """The API server answered with something else than 200."""


class Wire:
    """One connection to an API server; not thread-safe.

    Args:
        connection: where it is.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        url = urlsplit(connection.host)
        self._http = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=_SECONDS, context=connection.tls)

    def merge_patch(self, path: str, body: bytes) -> bytes:
        """Patch an object; return the answer's body.

        Raises:
            Refused: it was not changed.
        """
        headers = {"Content-Type": "application/merge-patch+json", **self._connection.token.headers()}
        self._http.request("PATCH", path, body, headers)
        answer = self._http.getresponse()
        told = answer.read()
        if answer.status != 200:
            raise Refused(f"{path}: {answer.status}")
        return told

    def lines(self, path: str, seconds: float) -> Iterator[bytes]:
        """Yield the lines of a watch until it ends or breaks, at the latest after so many seconds."""
        self._http.timeout = seconds
        self._http.request("GET", path, headers=dict(self._connection.token.headers()))
        answer, rest = self._http.getresponse(), b""
        # The server's end breaks it.
        with contextlib.suppress(http.client.IncompleteRead):
            while chunk := answer.read1(1 << 20):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines


class Wires(threading.local):
    """A connection for each thread that asks."""

    def __init__(self, connection: Connection) -> None:
        self.mine = Wire(connection)


def generation(told: bytes) -> int:
    """Return an object's generation."""
    found = _GENERATION.search(told)
    return int(found[1]) if found else 0


def observed(told: bytes) -> int:
    """Return an object's status.observedGeneration; 0 if it has none."""
    found = _OBSERVED.match(told)
    return int(found[1]) if found else 0


def name(told: bytes) -> str:
    """Return an object's name."""
    found = _NAME.search(told)
    return found[1].decode() if found else ""
