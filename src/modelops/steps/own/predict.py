"""predict: asks models for the test rows. Runs a team's own code, so it holds no credentials and no truth.

Called by `main` as an init container of evaluate; each model is loaded by a process of its own, `python -m
modelops.steps.own.predict MODEL ROWS ANSWERS`, which may crash or hang without taking the others with it.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from modelops.steps.own import process
from modelops.steps.own.places import Places

LIMITS: Final = process.Limits(size=1 << 30, files=10_000, seconds=600)
"""For one model to load and to answer all rows."""
_ORDER: Final = ("champion", "candidate")
"""The new one last: it must not get at what the one that serves answers, nor at its files before it was asked."""


def ask(places: Places, environment: Mapping[str, str], *, limits: process.Limits = LIMITS) -> None:
    """Ask every model that was brought; leave its answers, or one line why there are none.

    Raises:
        StepFailedError: this step was told to end meanwhile.
    """
    said: dict[str, str] = {}
    kept: dict[str, bytes] = {}
    for name in (name for name in _ORDER if (places.models / name).is_dir()):
        home = places.root / f"asked-{name}"
        home.mkdir(parents=True, exist_ok=True)
        answers = home / "answers.parquet"
        ended = process.run(
            [sys.executable, "-m", __name__, str(places.models / name), str(places.rows), str(answers)],
            env=process.given(environment) | {"HOME": str(home), "TMPDIR": str(home)},
            cwd=home,
            watched=places.scratch,
            limits=limits,
        )
        if ended.exceeded:
            said[name] = f"does not answer the test rows: {ended.exceeded}"
        elif ended.code:
            said[name] = f"does not load or answer: {ended.last or f'it ended with {ended.code} without a word'}"
        elif (content := places.read(answers, limits.size)) is None:
            said[name] = "left no answers, though it ended well; does it end the process that asks it?"
        else:
            kept[name] = content
    # Only now, when nobody else runs any more, is anything put where it is judged.
    places.leave_answers(kept, said)


def answer(model: Path, rows: Path, answers: Path) -> None:
    """Load a model, ask it, and write what it said as columns."""
    import mlflow.pyfunc  # noqa: PLC0415 - only in the process that asks
    import pandas as pd  # noqa: PLC0415

    loaded = mlflow.pyfunc.load_model(str(model))
    frame = pd.read_parquet(rows)
    wanted = loaded.metadata.get_input_schema().input_names()
    said = loaded.predict(frame[wanted])
    if not isinstance(said, pd.DataFrame):
        said = pd.DataFrame({"prediction": pd.Series(said).reset_index(drop=True)})
    said = said.reset_index(drop=True)
    said.columns = ["prediction"] if len(said.columns) == 1 else [str(name) for name in said.columns]
    said.to_parquet(answers)


if __name__ == "__main__":
    answer(*(Path(word) for word in sys.argv[1:4]))
