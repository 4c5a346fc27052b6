"""What a bench of verdicts found, in Markdown."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from bench.verdicts.board import Canary
from bench.verdicts.contender import Contender
from bench.verdicts.scenarios import Scenario, judged

_WRONG = ("wrong promotion", "wrong rollback", "stuck")
Round = Mapping[tuple[str, str], Canary]


def written(
    contenders: Sequence[Contender], scenarios: Sequence[Scenario], rounds: Sequence[Round]
) -> tuple[str, bool]:
    """Return both tables, and whether the first contender was ever wrong."""
    titles = " | ".join(one.title for one in contenders)
    lines = [f"| canary | right is | {titles} |", "|---|---|" + "---|" * len(contenders)]
    for story in scenarios:
        cells = [_outcomes([one[contender.name, story.name] for one in rounds]) for contender in contenders]
        lines.append(f"| {story.told} | {' or '.join(sorted(story.right))} | {' | '.join(cells)} |")
    counts = {
        one.name: Counter(
            judged(canary.scenario, canary.outcome)
            for round_ in rounds
            for (name, _), canary in round_.items()
            if name == one.name
        )
        for one in contenders
    }
    for verdict in _WRONG:
        cells = [f"**{counts[one.name][verdict]}**" for one in contenders]
        lines.append(f"| **{verdict}** | | {' | '.join(cells)} |")
    lines += ["", f"| seconds to weight 0 | {titles} |", "|---|" + "---|" * len(contenders)]
    for story in scenarios:
        if story.bad_from is not None:
            cells = [_reactions([one[contender.name, story.name] for one in rounds]) for contender in contenders]
            lines.append(f"| {story.told} | {' | '.join(cells)} |")
    return "\n".join(lines), any(counts[contenders[0].name][verdict] for verdict in _WRONG)


def _outcomes(canaries: Sequence[Canary]) -> str:
    """Return each outcome with its median time, a wrong one emphasised, and how often if there were several."""
    found: dict[str, list[float]] = {}
    for one in canaries:
        verdict = judged(one.scenario, one.outcome)
        words = one.outcome if verdict == "right" else f"**{one.outcome}: {verdict}**"
        found.setdefault(words, []).append(0.0 if one.lasted is None else one.lasted)
    told = [_timed(words, times) + (f" ({len(times)}×)" if len(found) > 1 else "") for words, times in found.items()]
    return ", ".join(told)


def _timed(words: str, times: Sequence[float]) -> str:
    median = statistics.median(times)
    return f"{words} {median:.0f} s" if median else words


def _reactions(canaries: Sequence[Canary]) -> str:
    found = [one.reaction for one in canaries if one.reaction is not None]
    return f"{statistics.median(found):.1f}" if found else "–"
