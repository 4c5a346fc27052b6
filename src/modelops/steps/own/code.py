"""code: runs the team's training code, with its inputs and nothing else: no address, no credential.

Called by `main` as an init container of train. What the code may use is bounded by the container (memory, time) and by
`process` (words, disk, descendants).
"""

import sys
from collections.abc import Mapping

from modelops.steps.context import TrainingInput
from modelops.steps.own import process
from modelops.steps.own.inputs import entry
from modelops.steps.own.places import Places


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
    return process.verdict(ended, step.code.path)
