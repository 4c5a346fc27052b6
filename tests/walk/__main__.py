"""`make walk`: python -m tests.walk --steps 1000000: releases that anything happens to, on every core."""

import argparse
import functools
import logging
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.walk import by_hypothesis, by_seed
from tests.walk.by_seed import Broken
from tests.walk.reached import Reached

_EVERY = 60.0
"""Seconds between two lines of a long run."""


def main() -> int:
    """Walk; what breaks a promise is printed with the walk that led to it, made short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30), help="of the first walk")
    parser.add_argument("--by", choices=("seed", "hypothesis"), default="seed", help="who draws the walks")
    parser.add_argument("--replay", action="store_true", help="take the walk of the seed only")
    parser.add_argument("--reached", action="store_true", help="print what happened how often, and what it came to")
    given = parser.parse_args()
    begun, said = time.monotonic(), time.monotonic()
    print(f"seed {given.seed}", flush=True)
    total = Reached()
    with ProcessPoolExecutor(1 if given.replay else given.processes, initializer=_only_bugs) as pool:
        for found in _walks(given, pool):
            if isinstance(found, Broken):
                pool.shutdown(wait=False, cancel_futures=True)
                return _tell(found)
            total.add(found)
            if time.monotonic() - said > _EVERY:
                said = time.monotonic()
                print(f"{total.steps} steps in {said - begun:.0f} s", flush=True)
    if given.reached:
        print(total)
    print(f"{total.steps} steps in {time.monotonic() - begun:.0f} s; every promise was kept")
    return 0


def _walks(given: argparse.Namespace, pool: ProcessPoolExecutor) -> Iterator[Reached | Broken]:
    if given.by == "hypothesis":
        each = functools.partial(by_hypothesis.walk, steps=-(-given.steps // given.processes))
        return pool.map(each, range(given.seed, given.seed + given.processes))
    walks = 1 if given.replay else -(-given.steps // by_seed.LENGTH)
    return pool.map(by_seed.walk, range(given.seed, given.seed + walks))


def _only_bugs() -> None:
    """Say nothing of what a release meets, but for what should never be raised."""
    logging.disable(logging.WARNING)


def _tell(broken: Broken) -> int:
    logging.disable()  # It is all said already.
    course = by_seed.shortened(broken)
    print(f"{broken.how}\n{course}\n\nonce more: python -m tests.walk --replay --seed {broken.number}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
