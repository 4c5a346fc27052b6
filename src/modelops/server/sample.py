"""A sample of the answers, so that two revisions' answers to the same requests can be compared. ADR 26.

Stable and canary get a mirrored request with one id, and neither knows what the other keeps. So both keep the requests
with the smallest hashes of each span of time: the same ones, however fast the traffic and however late an answer. No
input is kept, and of texts a hash only.
"""

import heapq
import uuid
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import orjson

from modelops.server.predictor import Outputs

REQUEST_ID: Final = "x-request-id"
MOST: Final = 512
"""Answers in all: the oldest span goes when there are more. They fit into the 64 KiB that are read of an answer."""
_OF_A_SPAN: Final = 64
_SPAN: Final = 10.0
"""Seconds, by the clock on the wall: two servers begin their spans together, or nearly."""
_ROWS: Final = 4
"""Of one request, the first ones."""
_NUMBERS: Final = "biuf"


@dataclass(slots=True)
class _Span:
    answers: dict[int, list[Any] | None] = field(default_factory=dict)
    """By hash; None where one request came twice."""
    largest: list[int] = field(default_factory=list)
    """A heap of the hashes, negative, so that the largest comes first."""


class AnswerSample:
    """What one server keeps.

    Args:
        key: the release's; without it nobody can tell which requests will be kept.
    """

    def __init__(self, key: str) -> None:
        self._keyed = blake2b(digest_size=8, key=blake2b(key.encode(), digest_size=32).digest())
        self._server = uuid.uuid4().hex[:16]
        self._spans: dict[int, _Span] = {}
        self._kept = 0
        self._unnamed = 0

    def take(self, identifier: str | None, body: bytes, arrived: float, outputs: Outputs) -> None:
        """Keep an answer, if its request is one of those that are kept.

        Args:
            identifier: of the request, by whoever sends the copies; without one it is only counted.
            body: of the request: one id with two bodies is two requests.
            arrived: when it came, in seconds since the epoch. Copies come when the request does, answers when they may.
            outputs: finite.
        """
        if not identifier:
            self._unnamed += 1
            return
        number = int.from_bytes(self._hashed(identifier.encode(errors="surrogateescape"), body))
        at = int(arrived / _SPAN)
        span = self._spans.get(at)
        if span is None:
            span = self._spans[at] = _Span()
        if number in span.answers:
            span.answers[number] = None
        elif len(span.answers) < _OF_A_SPAN:
            span.answers[number] = self._told(outputs)
            heapq.heappush(span.largest, -number)
            self._kept += 1
            if self._kept > MOST:
                self._kept -= len(self._spans.pop(next(iter(self._spans))).answers)
        elif number < -span.largest[0]:
            del span.answers[-heapq.heapreplace(span.largest, -number)]
            span.answers[number] = self._told(outputs)

    def render(self) -> bytes:
        """Return what is kept as JSON: by hash, what was answered to the first rows."""
        answers = [
            (f"{number:016x}", told)
            for span in self._spans.values()
            for number, told in span.answers.items()
            if told is not None
        ]
        return orjson.dumps({"server": self._server, "unnamed": self._unnamed, "answers": answers})

    def _told(self, outputs: Outputs) -> list[Any]:
        """Return the first rows' classes or numbers; of a text what tells it from others."""
        values = outputs.prediction[:_ROWS] if outputs.label is None else outputs.label[:_ROWS]
        kind = values.dtype.kind
        if kind in _NUMBERS:
            return [int(value) if kind in "iu" else float(value) for value in values.tolist()]
        return [self._hashed(str(value).encode(errors="replace")).hex() for value in values.tolist()]

    def _hashed(self, *parts: bytes) -> bytes:
        hashed = self._keyed.copy()
        for part in parts:
            hashed.update(part)
        return hashed.digest()
