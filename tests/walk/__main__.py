"""`make walk`: python -m tests.walk --steps 1000000: releases that anything happens to, on every core."""

import argparse
import functools
import itertools
import logging
import os
import random
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.walk.machine import Walk, walk

_ROUND = 500


def _rounds(steps: int, seed: int) -> int:
    """Walk so many steps; return how many they were."""
    logging.disable()
    rounds = itertools.count(seed << 32)
    while Walk.steps_taken < steps:
        walk(walks=_ROUND, number=next(rounds))
    return Walk.steps_taken


def main() -> int:
    """Walk; what breaks a promise is raised with the walk that led to it, made short."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    given = parser.parse_args()
    begun = time.monotonic()
    print(f"seed {given.seed}", flush=True)
    each = functools.partial(_rounds, -(-given.steps // given.processes))
    with ProcessPoolExecutor(given.processes) as pool:
        taken = sum(pool.map(each, range(given.seed, given.seed + given.processes)))
    print(f"{taken} steps in {time.monotonic() - begun:.0f} s; every promise was kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
