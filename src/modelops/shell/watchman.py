"""Looks after the watches: asks the API server about silent ones, and has kopf look again at what is served."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import urllib3

from modelops.adapters.cluster import KubeClient, path_of
from modelops.api.kinds import Resource
from modelops.errors import ModelopsError
from modelops.shell.pulse import Answer, Pulse

_log: Final = logging.getLogger(__name__)


def deadline_of(silence: float) -> urllib3.Timeout:
    """Return the deadline of a question about a watch that may be silent for so many seconds."""
    return urllib3.Timeout(connect=min(2.0, silence / 4), read=min(5.0, silence / 2))


def ask(client: KubeClient, resource: Resource, namespace: str | None) -> Answer:
    """Return what the API server says of a resource, by a list of one object."""
    try:
        found = client.request("GET", f"{path_of(resource, namespace)}?limit=1", what=resource.plural)
    except ModelopsError as error:
        return Answer.REFUSED if error.reason in {"ApiForbidden", "ApiRefused"} else Answer.AWAY
    return Answer.UNKNOWN if found is None else Answer.SERVED


async def watch_over(pulse: Pulse, question: Callable[[Resource], Answer], restart: Callable[[], object]) -> None:
    """Judge the silent watches for ever.

    Args:
        pulse: of the watches.
        question: asks the API server about a resource; has a deadline.
        restart: has kopf look again at what the API server serves, and watch that.
    """
    loop = asyncio.get_running_loop()
    said: set[Resource] = set()
    with ThreadPoolExecutor(1, thread_name_prefix="watchman") as thread:
        while True:
            await asyncio.sleep(pulse.limit / 20)
            served = await loop.run_in_executor(thread, pulse.judge, question)
            if served:
                _log.info("served now, watched from now on: %s", ", ".join(resource.plural for resource in served))
                restart()
            dead = set(pulse.dead())
            for resource in dead - said:
                _log.error("the watch of %s is dead: silent for %g s", resource.plural, pulse.limit)
            said = dead
