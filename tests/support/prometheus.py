"""The Prometheus that tests ask: this machine's, and Prometheus 3 beside it where it was built.

`python -m tests.support.prometheus build` builds Prometheus 3 and its promtool into the cache (about 5 minutes on 2
cores). It finds targets by file only, which is all that tests need and leaves out most of what it would be built of.
"""

import subprocess
import sys
from pathlib import Path

from modelops.localhome.parts import prometheus_program
from tests.support import go_programs

VERSION = "3.16.0"
_MODULE = "github.com/prometheus/prometheus"
RECIPE = go_programs.Recipe(
    programs={"prometheus-3": f"{_MODULE}/cmd/prometheus", "promtool-3": f"{_MODULE}/cmd/promtool"},
    require={_MODULE: "v0.316.0"},
    stamps={"github.com/prometheus/common/version.Version": VERSION},
    tags=("remove_all_sd",),
)


def missing() -> str | None:
    """Return why Prometheus 3 is not asked, and what to do, or None."""
    lacking = [program for program in RECIPE.programs if go_programs.find(program) is None]
    if not lacking:
        return None
    return (
        f"{' and '.join(lacking)} not found in $MODELOPS_TEST_BIN, PATH or {go_programs.cache()}:"
        " build them with Go: python -m tests.support.prometheus build"
    )


def no_earlier() -> str | None:
    """Return why nothing can be upgraded to Prometheus 3, or None."""
    own = prometheus_program()
    if own is None:
        return "prometheus is not installed; `make setup` brings it"
    version = subprocess.run([own, "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
    return None if version.startswith("2.") else f"this machine's Prometheus is {version}, not 2: nothing is upgraded"


def programs() -> list[str]:
    """Return each Prometheus that is there: this machine's first."""
    return [found for found in (prometheus_program(), go_programs.find("prometheus-3")) if found is not None]


def promtools() -> list[str]:
    """Return the promtool of each: it comes with Prometheus."""
    own = prometheus_program()
    beside = None if own is None else Path(own).with_name("promtool")
    found = [str(beside)] if beside is not None and beside.exists() else []
    return [*found, *filter(None, [go_programs.find("promtool-3")])]


if __name__ == "__main__":
    if sys.argv[1:] != ["build"]:
        sys.exit("usage: python -m tests.support.prometheus build")
    go_programs.build(RECIPE, go_programs.cache())
    sys.stdout.write(f"{missing() or f'Prometheus {VERSION} is in {go_programs.cache()}'}\n")
