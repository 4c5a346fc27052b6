"""Verdicts on the same canaries: modelops, Argo Rollouts and Flagger, beside each other on one real kube-apiserver.

`python -m bench.verdicts build` builds the two peers into the cache (about 6 minutes on 2 cores; needs Go), and
`python -m bench.verdicts` plays every scenario with every contender, all at once: their controllers are real, what
Prometheus says is scripted by bench/verdicts/scenarios.py, the same for all at the same time since their canary had
its first traffic. Nothing is served: servers are ready, and routes in force, as soon as they are written.
Prints two tables, in Markdown: outcomes with the seconds from first traffic to the end; seconds from when the figures
became bad to weight 0 in the object that steers the traffic. Keeps its logs, with what each canary's object said at its
end, only if modelops was wrong.
"""

import argparse
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from tests.support import kube_apiserver

from bench.verdicts import argo_rollouts, flagger, ours
from bench.verdicts.arena import run
from bench.verdicts.peers import ARGO_ROLLOUTS, FLAGGER
from bench.verdicts.scenarios import SCENARIOS
from bench.verdicts.table import written

CONTENDERS = (ours.MODELOPS, argo_rollouts.DOCUMENTED, argo_rollouts.GUARDED, flagger.STRICT, flagger.USUAL)


def main() -> int:
    """Build, or play and print; 1 if modelops was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.verdicts", description=__doc__)
    parser.add_argument("do", nargs="?", choices=["play", "build"], default="play")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two looks (%(default)g)")
    parser.add_argument("--only", default=",".join(one.name for one in CONTENDERS), help="some of: %(default)s")
    parser.add_argument("--scenarios", default=",".join(one.name for one in SCENARIOS), help="some of: %(default)s")
    given = parser.parse_args()
    if given.do == "build":
        for peer in (ARGO_ROLLOUTS, FLAGGER):
            peer.build()
            print(peer.program)
        return 0
    contenders = [one for one in CONTENDERS if one.name in given.only.split(",")]
    scenarios = [one for one in SCENARIOS if one.name in given.scenarios.split(",")]
    for one in contenders:
        if given.interval < one.shortest:
            parser.error(f"{one.title} takes no interval below {one.shortest:g} s; leave it out with --only")
    lacking = [peer for peer in (ARGO_ROLLOUTS, FLAGGER) if not peer.program.exists()]
    if missing := kube_apiserver.missing():
        parser.error(missing)
    if lacking and contenders != [ours.MODELOPS]:
        parser.error(f"{lacking[0].program} is not there: python -m bench.verdicts build")
    # The server's certificate is its own, and not looked at.
    warnings.simplefilter("ignore")
    rounds, directory = [], Path(tempfile.mkdtemp(prefix="modelops-verdicts-"))
    for number in range(1, given.rounds + 1):
        print(f"round {number} of {given.rounds}; logs are in {directory}", file=sys.stderr, flush=True)
        rounds.append(run(directory / str(number), contenders, scenarios, given.interval))
    text, wrong = written(contenders, rounds)
    print(text)
    if not wrong:
        shutil.rmtree(directory, ignore_errors=True)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
