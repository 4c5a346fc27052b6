"""The documentation is true: its commands exist and run, its links lead somewhere, its manifests are valid."""

import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from modelops.adapters.cluster import KubeClient
from modelops.api import kinds
from modelops.api.labels import COMMAND, OWNER_KIND, OWNER_NAME, REQUESTED_AT
from modelops.api.manifest import read
from modelops.cli import reference
from modelops.cli.main import cli
from tests.unit.cli.conftest import Run, client, modelops, namespace, program, put, server
from tests.unit.cli.objects import NOW, record, revision, serving

__all__ = ["client", "modelops", "namespace", "program", "put", "server"]

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "examples").glob("*/README.md"))
_BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def commands(program: str) -> list[tuple[str, str]]:
    """Return (page, command line) of every call of a program in a shell block."""
    found = []
    for page in PAGES:
        for language, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            if language in {"sh", "shell", "bash", "console"}:
                lines = [line.removeprefix("$ ").strip() for line in block.splitlines()]
                found += [(page.name, line) for line in lines if line.startswith(program + " ")]
    return found


def leaf(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words name, and its arguments."""
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"there is no verb {name}"
        command = found
    return command, words


@pytest.mark.parametrize(("page", "line"), commands("modelops"))
def test_verb_takes_what_the_docs_give_it(page: str, line: str) -> None:
    """The verb and every option exist; nothing is run."""
    words = shlex.split(line, comments=True)[1:]
    words = ["." if word == "deploy/" else word for word in words]
    command, arguments = leaf(words)
    command.make_context(command.name, arguments, resilient_parsing=False)


@pytest.mark.parametrize(("page", "line"), commands("make"))
def test_target_exists(page: str, line: str) -> None:
    """Every target is in the Makefile, with its line of help."""
    target = shlex.split(line, comments=True)[1]
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link and picture exists."""
    links = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


def test_every_verb_explains_itself() -> None:
    """`--help` of every verb works without anything running."""
    for name in cli.list_commands(click.Context(cli)):
        found = CliRunner().invoke(cli, [name, "--help"])
        assert found.exit_code == 0, name
        assert "Usage:" in found.output


def test_reference_of_verbs_is_what_the_program_says() -> None:
    """`make generate` would change nothing, and no verb lacks its block."""
    page = (ROOT / reference.PAGE).read_text(encoding="utf-8")
    assert reference.rendered(page) == page
    assert {words for words, _ in reference.verbs()} == set(re.findall(r"<!-- begin (.+) -->", page))


# Run by tests of their own, with everything they bring up: tests/local/test_loop.py, tests/unit/server.
ELSEWHERE = ("modelops local up", "modelops local down", "modelops serve", "modelops local prune")
EXAMPLES = [line for page, line in commands("modelops") if page == "cli.md" and not line.startswith(ELSEWHERE)]
CODES = {
    "modelops plan -f examples/digits/v2 --exit-code": 5,
    "modelops analyze -f examples/digits/v1/modelrelease.yaml --replay examples/digits/replay-bad.json": 3,
    "modelops doctor": None,
    "modelops local status": 1,
}
"""Exit codes other than 0; None where the machine decides."""


@pytest.fixture
def example(put: Callable[..., dict[str, Any]], client: KubeClient, namespace: str) -> None:
    """The digits example as it stands in the middle of a release, one version promoted before another."""
    status: dict[str, dict[str, Any]] = {
        "Dataset": {"observedGeneration": 1},
        "TrainingRun": {"observedGeneration": 1, "modelVersion": "3"},
        "ModelRelease": serving(
            "2",
            record("0", "Aborted"),
            record("1", "Promoted"),
            record("2", "Promoted"),
            aborted=["rev0"],
            lineage={"commit": "c" * 40, "version": "2", "runId": "r"},
        ),
    }
    for path in sorted((ROOT / "examples" / "digits" / "v1").glob("*.yaml")):
        for manifest in read(path.read_bytes(), str(path))[0]:
            kind = next(kind for kind in kinds.KINDS if kind.resource.kind == manifest.obj["kind"])
            name, spec = manifest.obj["metadata"]["name"], manifest.obj["spec"]
            put(kind, name, spec, status[kind.resource.kind], labels={"team": "vision"})
    put(kinds.GITSOURCE, "pricing", {"url": "https://git.example.com/p.git"}, {"observedGeneration": 1})
    for version in "12":
        meta = {
            "name": f"digits-rev{version}",
            "namespace": namespace,
            "labels": {OWNER_KIND: "ModelRelease", OWNER_NAME: "digits"},
        }
        client.apply(kinds.CONTROLLERREVISION, {"metadata": meta, "revision": 1, "data": {"version": version}})


@pytest.fixture
def taking(client: KubeClient, namespace: str) -> Iterator[None]:
    """Take every word that an object is given, as the operator does, and do nothing about it."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.wait(0.02):
            for kind in kinds.KINDS[:4]:
                for obj in client.list(kind.resource, namespace):
                    if wanted := _taken(obj):
                        client.replace_status(kind.resource, {**obj, "status": {**obj["status"], **wanted}})
                        client.emit(kind.resource, obj, "Taken", "", "Normal")

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stopped.set()
    thread.join(20)


def _taken(obj: dict[str, Any]) -> dict[str, Any]:
    notes, status = obj["metadata"].get("annotations") or {}, obj.get("status") or {}
    found: dict[str, Any] = {}
    if (asked := notes.get(REQUESTED_AT)) and status.get("lastHandledReconcileAt") != asked:
        found["lastHandledReconcileAt"] = asked
    if COMMAND in notes:
        identifier = re.findall(r'"id":"(\w+)"', notes[COMMAND])[0]
        if status.get("lastHandledCommand") != identifier:
            found["lastHandledCommand"] = identifier
    return found


@pytest.mark.parametrize("line", EXAMPLES)
def test_example_runs(
    line: str,
    modelops: Run,
    program: Callable[..., "subprocess.Popen[str]"],
    example: None,
    taking: None,
    client: KubeClient,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Against an API server, with the example's objects; what never ends by itself is ended after its first line."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "operator.log").write_text("a line\n")
    words = shlex.split(line, comments=True)[1:]
    if words[0] == "local":
        words += ["--state-dir", str(tmp_path)]
    if words[:2] in (["release", "promote"], ["release", "abort"], ["release", "pause"], ["release", "unpause"]):
        found = client.get(kinds.MODELRELEASE.resource, namespace, "digits")
        assert found is not None
        found["status"] = {**found["status"], "canary": revision("3"), "stepStartedAt": NOW}
        client.replace_status(kinds.MODELRELEASE.resource, found)
    if "-w" in words or ("-f" in words[2:] and words[0] == "local"):
        running = program(*words)
        assert running.stdout is not None
        assert running.stdout.readline()
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=20)
        assert running.returncode == 130
        return
    done = modelops(*words)
    expected = next((code for start, code in CODES.items() if line.startswith(start)), 0)
    assert expected is None or done.code == expected, done
    assert done.out
