"""actionlint over .github/workflows: `python -m tests.support.actionlint`, as `make lint` does.

`… build` builds it with Go into the cache (half a minute on 2 cores); without it one line says so and nothing fails.
"""

import subprocess
import sys
from pathlib import Path

from tests.support import go_programs

PROGRAM = "actionlint"
_MODULE = "github.com/rhysd/actionlint"
RECIPE = go_programs.Recipe(programs={PROGRAM: f"{_MODULE}/cmd/actionlint"}, require={_MODULE: "v1.7.12"})
ROOT = Path(__file__).parents[2]


def missing() -> str | None:
    """Return what is missing and how to get it, or None."""
    if go_programs.find(PROGRAM) is not None:
        return None
    return (
        f"{PROGRAM} not found in $MODELOPS_TEST_BIN, PATH or {go_programs.cache()}: install it or build it with Go:"
        " python -m tests.support.actionlint build"
    )


def lint() -> int:
    """Run it; return its exit code. What it would ask of programs that a machine may have or not is left out."""
    program = go_programs.find(PROGRAM)
    assert program is not None, missing()
    files = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
    return subprocess.run([program, "-shellcheck=", "-pyflakes=", *map(str, files)], check=False).returncode


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            lacking = missing()
            if lacking is None:
                sys.exit(lint())
            sys.stdout.write(f".github/workflows is not looked at: {lacking}\n")
        case ["build"]:
            go_programs.build(RECIPE, go_programs.cache())
        case _:
            sys.exit("usage: python -m tests.support.actionlint [build]")
