"""`make chaos`: python -m tests.chaos --seeds 300: the sweep of kill -9, and a table of how it went."""

import argparse
import collections
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.house import House
from tests.chaos.killing import Report, blows, first, strike
from tests.chaos.traffic import customers


def main() -> int:
    """Run the seeds one after another in one home; exit 1 at the first that does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    house = House(Path(tempfile.mkdtemp(prefix="modelops-chaos-")))
    first(house)
    reports: list[Report] = []
    try:
        with customers(house) as answers:
            for blow in blows(given.seeds, given.first):
                report = strike(house, blow)
                reports.append(report)
                hit = "" if report.hit else " (was not running)"
                print(
                    f"{time.strftime('%T')} {blow.seed}: {blow.target} in {blow.phase}{hit}: {report.seconds:.1f} s",
                    flush=True,
                )
    except (TimeoutError, AssertionError) as error:
        print(f"FAILED: {error}; everything is kept in {house.directory}", flush=True)
        return 1
    house.down()
    took = [report.seconds for report in reports]
    print(f"{len(reports)} seeds, {sum(report.hit for report in reports)} hits, loops took "
          f"{min(took):.0f}–{max(took):.0f} s, median {statistics.median(took):.0f} s")  # fmt: skip
    print("hits by target:", dict(collections.Counter(r.blow.target for r in reports if r.hit)))
    print("hits by phase:", dict(collections.Counter(r.blow.phase for r in reports if r.hit)))
    print("answers:", dict(answers))
    left = list(house.processes())
    print("processes left:", left)
    return int(bool(left))


if __name__ == "__main__":
    sys.exit(main())
