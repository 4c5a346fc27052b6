"""One round: every scenario with every contender, all at once."""

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.operators import until

from bench.verdicts.board import Board, Canary
from bench.verdicts.cluster import Told, Watches, cluster, play
from bench.verdicts.contender import Contender, Setting
from bench.verdicts.prometheus import ScriptedPrometheus
from bench.verdicts.scenarios import Scenario
from modelops.adapters.cluster import KubeClient

_PATIENCE = 240.0
"""Seconds until every first version serves."""
_LOOKS = 19
"""After so many intervals nothing ends any more: twice what a canary takes that is promoted."""


def run(
    directory: Path, contenders: Sequence[Contender], scenarios: Sequence[Scenario], interval: float
) -> dict[tuple[str, str], Canary]:
    """Return what became of each canary, by names of contender and scenario.

    Args:
        directory: of logs, and of what each canary's object says at its end.
        contenders: who plays.
        scenarios: what.
        interval: seconds between two looks.
    """
    board = Board({(one.name, story.name): Canary(story, interval) for one in contenders for story in scenarios})
    with ExitStack() as stack:
        client, config = stack.enter_context(cluster(directory, contenders))
        prometheus = ScriptedPrometheus(board)
        stack.callback(prometheus.stop)
        setting = Setting(directory, config, prometheus.url, interval)
        watches = stack.enter_context(Watches(client))
        play(client, watches)
        for running in {one.running: None for one in contenders}:
            stack.enter_context(running(setting))
        for one in contenders:
            for story in scenarios:
                for resource, obj in one.objects(story.name, setting):
                    client.apply(resource, obj)
        _serve(client, contenders, board)
        for one in contenders:
            watches.on(one.route, _weighing(one, board))
            watches.on(one.kind, _ending(one, board))
        for name, story in board.canaries:
            resource, change = next(one.change for one in contenders if one.name == name)
            client.merge_patch(resource, name, story, change)
        _end(client, contenders, board, directory, time.monotonic() + _LOOKS * interval)
    return board.canaries


def _serve(client: KubeClient, contenders: Sequence[Contender], board: Board) -> None:
    """Wait until every first version serves, and note its revision."""

    def serving(one: Contender) -> bool:
        for obj in client.list(one.kind, one.name):
            canary = board.of(one.name, obj["metadata"]["name"])
            if canary is not None and not canary.stable:
                canary.stable = one.serving(obj)
        return all(canary.stable for (name, _), canary in board.canaries.items() if name == one.name)

    for one in contenders:
        until(lambda one=one: serving(one), _PATIENCE, f"every first version of {one.title} serves", 0.5)


def _weighing(contender: Contender, board: Board) -> Told:
    def told(obj: dict[str, Any], now: float) -> None:
        meta = obj["metadata"]
        owner = next(iter(meta.get("ownerReferences") or ()), {})
        canary = board.of(contender.name, owner.get("name")) if meta["namespace"] == contender.name else None
        weight = contender.weight(obj, canary.stable) if canary else None
        if canary and weight is not None:
            canary.weighs(weight, now)

    return told


def _ending(contender: Contender, board: Board) -> Told:
    def told(obj: dict[str, Any], now: float) -> None:
        meta = obj["metadata"]
        canary = board.of(contender.name, meta["name"]) if meta["namespace"] == contender.name else None
        outcome = contender.outcome(obj, canary.stable) if canary else None
        if canary and outcome is not None:
            canary.ends(outcome, now)

    return told


def _end(client: KubeClient, contenders: Sequence[Contender], board: Board, directory: Path, deadline: float) -> None:
    """Wait until every canary is over, or the deadline; keep what each says then, and give nobody more work with it."""
    kinds = {one.name: one.kind for one in contenders}
    going = dict(board.canaries)
    while going:
        time.sleep(0.2)
        now = time.monotonic()
        for name, story in [key for key, one in going.items() if one.is_over(now) or now > deadline]:
            said = client.get(kinds[name], name, story)
            (directory / f"{name}-{story}.json").write_text(json.dumps(said, indent=1))
            client.delete(kinds[name], name, story)
            del going[name, story]
