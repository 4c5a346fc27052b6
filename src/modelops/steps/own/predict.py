"""predict: asks models for the test rows. Runs a team's own code, so it holds no credentials and no truth.

Called by `main` as an init container of evaluate; each model is loaded by a process of its own, `python -m
modelops.steps.own.predict MODEL ROWS ANSWERS`, which may crash or hang without taking the others with it.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from modelops.steps.own.code import NOT_GIVEN
from modelops.steps.own.places import Places

LIMIT: Final = 600.0
"""Seconds for one model to load and to answer all rows."""


def ask(places: Places, environment: Mapping[str, str], *, limit: float = LIMIT) -> None:
    """Ask every model that was brought; leave its answers, or one line why there are none."""
    places.answers.mkdir(parents=True, exist_ok=True)
    given = {name: value for name, value in environment.items() if not name.startswith(NOT_GIVEN)}
    for model in sorted(places.models.iterdir()):
        answers = places.answers / f"{model.name}.parquet"
        error = places.answers / f"{model.name}.error"
        argv = [sys.executable, "-m", __name__, str(model), str(places.rows), str(answers)]
        try:
            done = subprocess.run(
                argv,
                env=given,
                cwd=places.root,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            error.write_text(f"has not answered the test rows within {limit:.0f} s", encoding="utf-8")
            continue
        sys.stderr.write(done.stderr[-20_000:])
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            said = lines[-1][:400] if lines else "without a word"
            error.write_text(f"does not load or answer: {said}", encoding="utf-8")


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
