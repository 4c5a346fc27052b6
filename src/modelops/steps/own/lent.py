"""What is lent to an image of a team's own, so that its command runs as code from git does; and how it ended.

`inputs` lends it, the container `code` runs it, `collect` reads the end. The command stands in a file that is written
here, not in the Workflow, where Argo would expand what looks like a template.
"""

import shlex
import shutil
from importlib import resources
from typing import Final

from modelops.steps.context import BAD_INPUT, BadInputError, StepFailedError, TrainingInput
from modelops.steps.own import process
from modelops.steps.own.places import Places

_SCRIPT: Final = "lent.sh"
_SMALL: Final = 4096
_KILLED: Final = 128
"""What a shell adds to the number of a signal."""


def lend(step: TrainingInput, places: Places, *, limits: process.Limits | None = None) -> None:
    """Put a static shell with its tools, our script and the team's command where the image finds them.

    Args:
        step: names the command.
        places: of the pod.
        limits: what the command may use.

    Raises:
        BadInputError: there is nothing to lend.
    """
    command, bounds = step.run.trainer.command, limits or process.Limits()
    assert command is not None
    busybox = shutil.which("busybox")
    if busybox is None:
        raise BadInputError("the trainer image has no busybox to lend to trainer.image; add busybox-static to it")
    places.lent.mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox, places.lent / "busybox")
    script = resources.files(__package__).joinpath(_SCRIPT).read_text(encoding="utf-8")
    (places.lent / _SCRIPT).write_text(script, encoding="utf-8")
    words = [
        str(places.lent / "busybox"),
        "sh",
        str(places.lent / _SCRIPT),
        *(str(places.root), str(bounds.size >> 10), str(bounds.files)),
        *command,
    ]
    (places.lent / "run").write_text(f"exec {shlex.join(words)}\n", encoding="utf-8")


def raise_end(step: TrainingInput, places: Places) -> None:
    """Fail as the command did.

    Raises:
        BadInputError: it says that its input is bad, or it exceeded a limit. StepFailedError: another try may help.
    """
    said = {name: _read(places, name) for name in ("code", "last", "exceeded")}
    if not said["code"].isdigit():
        raise StepFailedError(f"{step.where}: did not run: does the image fit this node, and can user 65532 read it?")
    number = int(said["code"])
    exceeded = process.Limits().told(said["exceeded"])
    ended = process.Ended(_KILLED - number if number > _KILLED else number, said["last"], exceeded)
    status, message = process.verdict(ended, step.where)
    if status == BAD_INPUT:
        raise BadInputError(message)
    if status != 0:
        raise StepFailedError(message)


def _read(places: Places, name: str) -> str:
    return process.last_line(places.read(places.end / name, _SMALL) or b"")
