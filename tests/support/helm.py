"""Helm for tests: found, or built once with Go. `python -m tests.support.helm build` (about 130 s on 2 cores)."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support import go_programs

VERSION = "3.22.0"
KUBERNETES = "1.34.4"
"""What `helm template` takes the cluster for."""
_MODULE = "helm.sh/helm/v3"
_MAJOR, _MINOR, _ = KUBERNETES.split(".")
RECIPE = go_programs.Recipe(
    programs={"helm": f"{_MODULE}/cmd/helm"},
    require={_MODULE: f"v{VERSION}"},
    stamps={
        f"{_MODULE}/internal/version.version": f"v{VERSION}",
        f"{_MODULE}/pkg/chartutil.k8sVersionMajor": _MAJOR,
        f"{_MODULE}/pkg/chartutil.k8sVersionMinor": _MINOR,
        f"{_MODULE}/pkg/lint/rules.k8sVersionMajor": _MAJOR,
        f"{_MODULE}/pkg/lint/rules.k8sVersionMinor": _MINOR,
    },
)


def missing() -> str | None:
    """Return what is missing and how to get it, or None."""
    if go_programs.find("helm") is not None:
        return None
    return (
        f"helm not found in $MODELOPS_TEST_BIN, PATH or {go_programs.cache()}: install Helm {VERSION} or build it"
        f" with Go: python -m tests.support.helm build"
    )


def helm(*words: str, kubeconfig: Path | None = None) -> str:
    """Run Helm and return what it prints.

    Raises:
        RuntimeError: it failed; the message is what it said.
    """
    program = go_programs.find("helm")
    assert program is not None, missing()
    # A kubeconfig of whoever runs the tests must not be touched by accident.
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig or os.devnull)}
    done = subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


if __name__ == "__main__":
    if sys.argv[1:] != ["build"]:
        sys.exit("usage: python -m tests.support.helm build")
    go_programs.build(RECIPE, go_programs.cache())
    sys.stdout.write(f"{missing() or f'helm is in {go_programs.cache()}'}\n")
