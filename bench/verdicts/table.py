"""What a bench of verdicts found, in Markdown."""

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from bench.verdicts.board import Canary
from bench.verdicts.contender import Contender
from bench.verdicts.scenarios import judged

_WRONG = ("wrong promotion", "wrong rollback", "stuck")
Round = Mapping[tuple[str, str], Canary]


def written(contenders: Sequence[Contender], rounds: Sequence[Round]) -> tuple[str, bool]:
    """Return both tables, and whether the first contender was ever wrong."""
    played = [(name, canary) for one in rounds for (name, _), canary in one.items()]
    rows = {canary.scenario.told: canary.scenario for _, canary in played}

    def cells(told: str, cell: Callable[[Sequence[Canary]], str]) -> str:
        of = [[one for name, one in played if (name, one.scenario.told) == (who.name, told)] for who in contenders]
        return " | ".join(map(cell, of))

    titles = " | ".join(one.title for one in contenders)
    lines = [f"| canary | right is | {titles} |", "|---|---|" + "---|" * len(contenders)]
    lines += [f"| {told} | {' or '.join(sorted(one.right))} | {cells(told, _outcomes)} |" for told, one in rows.items()]
    counts = Counter((name, judged(canary.scenario, canary.outcome)) for name, canary in played)
    for verdict in _WRONG:
        lines.append(f"| **{verdict}** | | {' | '.join(str(counts[one.name, verdict]) for one in contenders)} |")
    lines += ["", f"| seconds to weight 0 | {titles} |", "|---|" + "---|" * len(contenders)]
    lines += [f"| {told} | {cells(told, _reactions)} |" for told, one in rows.items() if one.bad_from is not None]
    return "\n".join(lines), any(counts[contenders[0].name, verdict] for verdict in _WRONG)


def _outcomes(canaries: Sequence[Canary]) -> str:
    """Return each outcome with its median time, a wrong one emphasised, and how often if there were several."""
    found: dict[str, list[float]] = {}
    for one in canaries:
        verdict = judged(one.scenario, one.outcome)
        words = f"**{one.outcome}**" if verdict in _WRONG else one.outcome
        found.setdefault(words + (", not watched" if verdict == "not watched" else ""), []).append(one.lasted or 0.0)
    many = len(found) > 1
    return ", ".join(f"{len(times)} × " * many + _timed(words, times) for words, times in found.items())


def _timed(words: str, times: Sequence[float]) -> str:
    median = statistics.median(times)
    return f"{words} {median:.0f} s" if median else words


def _reactions(canaries: Sequence[Canary]) -> str:
    found = sorted(one.reaction for one in canaries if one.reaction is not None)
    if not found:
        return "–"
    spread = f" ({found[0]:.1f}–{found[-1]:.1f})" if len(found) > 1 else ""
    return f"{statistics.median(found):.1f}{spread}"
