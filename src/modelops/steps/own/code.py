"""code: runs the team's training code, with its inputs and nothing else: no address, no credential.

Called by `main` as an init container of train. What the code may use is bounded by the container (memory, time) and by
`process` (words, disk, descendants).
"""

import sys
from collections.abc import Mapping
from typing import Final

from modelops.steps import context as contexts
from modelops.steps.context import TrainingInput
from modelops.steps.own import process
from modelops.steps.own.inputs import entry
from modelops.steps.own.places import Places

_SIGNALS: Final = {9: " (out of memory?)", 25: " (a file became larger than may be written)"}


def run(
    step: TrainingInput, places: Places, environment: Mapping[str, str], *, limits: process.Limits | None = None
) -> tuple[int, str]:
    """Run it to its end; return the exit code that the step is to have, and one line if it failed.

    Args:
        step: names the code.
        places: holds its inputs; gets its output.
        environment: of this process; what is no secret is handed on.
        limits: what it may use.

    Raises:
        StepFailedError: this step was told to end meanwhile.
    """
    assert step.code is not None
    names = [str(path.relative_to(places.code)) for path in places.code.rglob("*") if path.is_file()]
    script = entry(step.code, names)
    home = places.root / "home"
    home.mkdir(parents=True, exist_ok=True)
    own = {
        "MODELOPS_INPUT": str(places.input),
        "MODELOPS_OUTPUT": str(places.output),
        "PYTHONUNBUFFERED": "1",
        "HOME": str(home),
        "TMPDIR": str(home),
    }
    ended = process.run(
        [sys.executable, script],
        env=process.given(environment) | own,
        cwd=places.code,
        watched=places.scratch,
        limits=limits or process.Limits(),
    )
    return verdict(ended, step.code.path)


def verdict(ended: process.Ended, where: str) -> tuple[int, str]:
    """Return the exit code that the step is to have, and one line if it failed.

    Args:
        ended: how a team's program did.
        where: names the program.
    """
    if ended.exceeded:
        return contexts.BAD_INPUT, f"{where}: {ended.exceeded}"
    if ended.code == 0:
        return 0, ""
    if ended.code < 0:
        why = f"was ended by signal {-ended.code}{_SIGNALS.get(-ended.code, '')}"
        return 1, f"{where}: {why}: {ended.last or 'without a word'}"
    return ended.code, f"{where}: exited with {ended.code}: {ended.last or 'without a word'}"
