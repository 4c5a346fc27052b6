"""Runs kopf on a thread and an event loop of its own, and begins anew if it ever ends by itself.

kopf would take the process' signals, cancel tasks that are not its own, and end for errors that pass. Apart from the
rest it can do none of that: whatever ends it, the watches are made anew, and each begins with a list.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import kopf

_log: Final = logging.getLogger(__name__)
_IDENTITY: Final[Any] = "modelops"
"""Who runs kopf, if anybody were to ask: nobody does, there are no peers."""
_LONGEST_PAUSE: Final = 30.0
_GOOD: Final = 60.0
"""Whoever ran for so many seconds begins with the shortest pause again."""


class Watching:
    """kopf, for as long as it is wanted.

    Args:
        registry: makes a registry for each time that kopf runs.
        namespace: to watch; None all.
    """

    def __init__(self, registry: Callable[[], kopf.OperatorRegistry], namespace: str | None = None) -> None:
        self._registry = registry
        self._namespace = namespace
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._end: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="watching", daemon=True)
        self.ready: Final = threading.Event()
        """Set once kopf has begun for the first time."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def restart(self) -> None:
        """Look anew at what the API server serves, and watch that."""
        with self._lock:
            self._end()

    def stop(self, seconds: float) -> bool:
        """Stop; return whether it did within so many seconds."""
        self._stopped.set()
        self.restart()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause = 1.0
        while not self._stopped.is_set():
            begun = time.monotonic()
            error = asyncio.run(self._once())
            if error is None:
                continue
            if time.monotonic() - begun > _GOOD:
                pause = 1.0
            _log.error("watching ended by itself (%s); it begins anew in %g s", error, pause)
            self._stopped.wait(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _once(self) -> str | None:
        """Run kopf until it is told to end; return why it ended by itself, if it did."""
        ending = asyncio.Event()
        loop = asyncio.get_running_loop()
        with self._lock:
            self._end = lambda: loop.call_soon_threadsafe(ending.set)
        if self._stopped.is_set():
            return None
        namespaces = {"namespaces": [self._namespace]} if self._namespace else {"clusterwide": True}
        running = asyncio.ensure_future(
            kopf.operator(
                registry=self._registry(),
                settings=kopf.OperatorSettings(),
                # Else kopf asks for the user's name, and one without a name (OpenShift) is an error.
                identity=_IDENTITY,
                standalone=True,
                stop_flag=ending,
                ready_flag=self.ready,
                **namespaces,
            )
        )
        await asyncio.wait({running})
        with self._lock:
            self._end = lambda: None
        if ending.is_set():
            return None
        if running.cancelled():
            return "cancelled"
        error = running.exception()
        return "no reason given" if error is None else f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
