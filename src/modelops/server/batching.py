"""Answers concurrent requests together: what is waiting when the model is free goes into one call.

No request ever waits for others to arrive. A model that answers quickly is called on the event loop, because
a thread hop would cost more than the call; a slow one is called in a thread, so that health checks stay quick.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from modelops.server.predictor import Outputs, Predictor, RefusedInputError
from modelops.server.protocol import Request

_INLINE_SECONDS: Final = 0.003
"""A call that takes longer, smoothed, moves to the thread."""


@dataclass(slots=True, eq=False)
class _Waiting:
    request: Request
    answer: "asyncio.Future[Outputs]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ModelFailedError(Exception):
    """The model raised something while it answered; the message is one line."""


class Batcher:
    """One model, many requests.

    Args:
        predictor: the model; called by one thread at a time.
        max_rows: rows of one call at most.
        on_batch: told the number of rows and the seconds of every call.
    """

    def __init__(
        self, predictor: Predictor, *, max_rows: int = 1024, on_batch: Callable[[int, float], None] = lambda *_: None
    ) -> None:
        self._predictor = predictor
        self._max_rows = max_rows
        self._on_batch = on_batch
        self._waiting: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._running: asyncio.Task[None] | None = None
        self._scheduled = False
        self._smoothed = 1.0

    async def predict(self, request: Request) -> Outputs:
        """Answer one request, together with those that wait beside it.

        Raises:
            ModelFailedError: the model raised for this request; others are not harmed by it.
            RefusedInputError: the request holds something that the model cannot take.
        """
        waiting = _Waiting(request)
        self._waiting.append(waiting)
        if self._running is None and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._start)
        return await waiting.answer

    def close(self) -> None:
        """End the model's thread after the call it is in."""
        self._thread.shutdown(wait=False)

    def _start(self) -> None:
        self._scheduled = False
        while self._waiting and self._running is None:
            batch = self._take()
            if self._smoothed < _INLINE_SECONDS:
                self._settle(batch, self._call(batch))
            else:
                self._running = asyncio.get_running_loop().create_task(self._in_thread(batch))

    async def _in_thread(self, batch: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._settle(batch, await loop.run_in_executor(self._thread, self._call, batch))
        finally:
            self._running = None
            self._start()

    def _take(self) -> list[_Waiting]:
        batch = [self._waiting.popleft()]
        rows = batch[0].request.rows
        while self._waiting and rows + self._waiting[0].request.rows <= self._max_rows:
            batch.append(self._waiting.popleft())
            rows += batch[-1].request.rows
        return batch

    def _call(self, batch: list[_Waiting]) -> list[Outputs | Exception]:
        rows = sum(waiting.request.rows for waiting in batch)
        begun = time.perf_counter()
        try:
            together = self._predictor.predict(_joined([waiting.request for waiting in batch]), rows)
            answers: list[Outputs | Exception] = []
            start = 0
            for waiting in batch:
                answers.append(together.rows(start, start + waiting.request.rows))
                start += waiting.request.rows
        except Exception as error:  # noqa: BLE001 - a foreign model may raise anything; this is the server's one loop
            failed: Exception = ModelFailedError(f"{type(error).__name__}: {str(error)[:300]}")
            if isinstance(error, RefusedInputError):
                failed = error
            answers = [failed] if len(batch) == 1 else [self._call([waiting])[0] for waiting in batch]
        seconds = time.perf_counter() - begun
        self._smoothed = 0.8 * self._smoothed + 0.2 * seconds if self._smoothed < 1 else seconds
        self._on_batch(rows, seconds)
        return answers

    @staticmethod
    def _settle(batch: list[_Waiting], answers: list[Outputs | Exception]) -> None:
        for waiting, answer in zip(batch, answers, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)


def _joined(requests: list[Request]) -> Mapping[str, list[Any]]:
    if len(requests) == 1:
        return requests[0].columns
    names = dict.fromkeys(name for request in requests for name in request.columns)
    return {
        name: [value for request in requests for value in request.columns.get(name) or [None] * request.rows]
        for name in names
    }
