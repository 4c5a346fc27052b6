"""Which version of modelops a state directory is of, and what has to be done before this one may use it.

Called by the supervisor before it starts anything. It must never touch a directory that it does not know.
"""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from modelops.errors import Stalled
from modelops.localhome.home import Home

LAYOUT: Final = 2
"""Of the state directory. 1: before there was this file. 2: records of model servers carry what adopts them."""
_FILE: Final = "layout.json"
_UPGRADE_LIMIT: Final = 600.0
_OURS_BEFORE: Final = frozenset({"lock", "logs"})
"""Made by whoever starts the supervisor, before it looks."""


def adopt(home: Home, say: Callable[[str], None]) -> None:
    """Make a state directory one of this version.

    Args:
        home: an empty or absent directory, or one of this or an older version.
        say: told what is done, one line at a time.

    Raises:
        Stalled: it is of a newer version, it is somebody else's directory, it cannot be written to, or MLflow's
            database cannot be upgraded.
    """
    state = home.state
    try:
        state.mkdir(parents=True, exist_ok=True)
        found = _read(state)
        if found is None and (home.description.exists() or (state / "api.db").exists()):
            found = {"layout": 1}
        if found is None and any(entry.name not in _OURS_BEFORE for entry in state.iterdir()):
            raise Stalled(
                "NotAHome",
                f"{state} holds files that are not a local home's; give an empty or a new directory as --state-dir",
            )
        written = found or {"layout": LAYOUT}
        if written["layout"] > LAYOUT:
            raise Stalled(
                "NewerHome",
                f"{state} is of modelops {written.get('modelops', '?')} (layout {written['layout']}, this is "
                f"{_version('modelops')} with layout {LAYOUT}); use that version, or give another --state-dir",
            )
        _upgrade_mlflow(state, written.get("mlflow"), say)
        if found is not None and written["layout"] < LAYOUT:
            say(f"{state}: brought from layout {written['layout']} to {LAYOUT}")
        now = {"layout": LAYOUT, "modelops": _version("modelops"), "mlflow": _version("mlflow")}
        if found != now:
            fresh = state / f"{_FILE}.new"
            fresh.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")
            fresh.replace(state / _FILE)
    except OSError as error:
        raise unwritable(state, error) from error


def unwritable(state: Path, error: OSError) -> Stalled:
    """Return the refusal of a state directory that the system does not let us use."""
    return Stalled(
        "StateDirectory",
        f"{error.filename or state}: {error.strerror}; free space, correct the permissions or give another --state-dir",
    )


def _read(state: Path) -> dict[str, Any] | None:
    try:
        read = json.loads((state / _FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        read = None
    if not isinstance(read, dict) or not isinstance(read.get("layout"), int):
        raise Stalled(
            "DamagedHome", f"{state / _FILE} is damaged; remove that file to have the directory looked at anew"
        )
    return read


def _upgrade_mlflow(state: Path, before: str | None, say: Callable[[str], None]) -> None:
    """Bring MLflow's tables to the installed version; a copy of the database is kept beside it."""
    database, now = state / "mlflow" / "mlflow.db", _version("mlflow")
    if before == now or not database.exists():
        return
    kept = database.with_name(f"mlflow.db.before-{now}")
    shutil.copy2(database, kept)
    argv = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{database}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_UPGRADE_LIMIT, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise Stalled("MlflowUpgrade", f"{database} cannot be brought to MLflow {now}: {last}; a copy is {kept}")
    say(f"{database}: brought from MLflow {before or 'of unknown version'} to {now}; a copy is {kept.name}")


def _version(package: str) -> str:
    return importlib.metadata.version(package)
