"""`modelops get`: tables, several kinds, all namespaces, selectors, JSON, and following what changes."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from modelops.adapters.cluster import KubeClient
from modelops.api import kinds
from tests.unit.cli.conftest import Run
from tests.unit.cli.objects import DATASET, RELEASE, RUN, serving

Put = Callable[..., dict[str, Any]]
Start = Callable[..., "subprocess.Popen[str]"]
MAIN = "from modelops.cli.main import main; main()"


def test_one_kind_is_one_table(modelops: Run, put: Put) -> None:
    """Columns are the server's; without -o wide only the narrow ones."""
    put(kinds.MODELRELEASE, "price", RELEASE, serving("3"))

    done = modelops("get", "mr")

    assert done.lines[0].split()[:3] == ["NAME", "READY", "PHASE"]
    assert done.lines[1].split()[:5] == ["price", "True", "Promoted", "price", "3"]
    assert "STATUS" not in done.lines[0]
    assert "STATUS" in modelops("get", "mr", "-o", "wide").lines[0]


@pytest.mark.parametrize("words", ["all", "ds,trainingruns,ModelRelease"])
def test_several_kinds_are_several_tables(modelops: Run, put: Put, words: str) -> None:
    """Each row says its kind; a kind without objects prints nothing."""
    put(kinds.DATASET, "listings", DATASET)
    put(kinds.TRAININGRUN, "price", RUN)

    done = modelops("get", words)

    assert [line.split()[0] for line in done.lines if line] == [
        "NAME",
        "dataset/listings",
        "NAME",
        "trainingrun/price",
    ]


def test_all_namespaces_come_with_their_names(modelops: Run, put: Put, namespace: str) -> None:
    """-A puts the namespace first."""
    put(kinds.TRAININGRUN, f"run-{namespace}", RUN)

    done = modelops("get", "tr", "-A", "-n", "another")

    assert done.lines[0].split()[:2] == ["NAMESPACE", "NAME"]
    assert [namespace, f"run-{namespace}"] in [line.split()[:2] for line in done.lines]


def test_a_selector_chooses(modelops: Run, put: Put) -> None:
    """As kubectl's -l, with != too."""
    put(kinds.TRAININGRUN, "a", RUN, labels={"team": "red"})
    put(kinds.TRAININGRUN, "b", RUN, labels={"team": "blue"})

    assert modelops("get", "tr", "-l", "team=red", "-o", "name").lines == ["trainingrun.modelops.dev/a"]
    assert modelops("get", "tr", "-l", "team!=red", "-o", "name").lines == ["trainingrun.modelops.dev/b"]


def test_json_is_the_object_as_the_api_has_it(modelops: Run, put: Put) -> None:
    """One object by name, a List without."""
    made = put(kinds.TRAININGRUN, "price", RUN)

    assert json.loads(modelops("get", "tr", "price", "-o", "json").out) == made
    listed = json.loads(modelops("get", "tr,ds", "-o", "json").out)
    assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("List", ["price"])
    assert "kind: TrainingRun" in modelops("get", "tr", "price", "-o", "yaml").out


def test_nothing_there_is_said_on_stderr(modelops: Run, namespace: str) -> None:
    """So that a script that counts lines counts none."""
    done = modelops("get", "mr")

    assert (done.code, done.out) == (0, "")
    assert f"No modelreleases found in namespace {namespace}." in done.err


def test_piped_watch_appends_a_line_for_each_change(
    modelops: Run, put: Put, program: Start, client: KubeClient, namespace: str
) -> None:
    """What is first, then changes, then what goes; Ctrl-C ends it with 130 and without a word."""
    put(kinds.TRAININGRUN, "price", RUN)
    watching = program("get", "tr", "-w")
    assert watching.stdout is not None
    assert watching.stdout.readline().split()[:2] == ["NAME", "READY"]
    assert watching.stdout.readline().split()[0] == "price"

    put(kinds.TRAININGRUN, "other", RUN)
    assert watching.stdout.readline().split()[0] == "other"
    put(kinds.TRAININGRUN, "price", {**RUN, "model": {"name": "renamed"}})
    assert watching.stdout.readline().split()[:2] == ["price", "renamed"]
    client.delete(kinds.TRAININGRUN.resource, namespace, "other")
    assert watching.stdout.readline().split() == ["other", "deleted"]

    watching.send_signal(signal.SIGINT)
    out, err = watching.communicate(timeout=20)
    assert (watching.returncode, out, err) == (130, "", "")


def test_watch_on_a_terminal_is_a_table_that_changes(modelops: Run, put: Put) -> None:
    """A real pseudo-terminal: drawn in place, in colour."""
    put(kinds.MODELRELEASE, "price", RELEASE, serving("3"))
    screen = Terminal("get", "mr", "-w")
    try:
        screen.wait_for("Promoted")
        assert re.search(r"\x1b\[[0-9;]*m", screen.text), "no colour"
        put(kinds.MODELRELEASE, "second", {**RELEASE, "model": {**RELEASE["model"], "promotedAlias": "x"}})
        screen.wait_for("second")
        assert "\x1b[1A" in screen.text, "nothing was drawn again"
        screen.interrupt()
        assert screen.end() == 130
    finally:
        screen.kill()


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "a dumb terminal"])
def test_plain_terminal_gets_plain_lines(modelops: Run, put: Put, variables: dict[str, str]) -> None:
    """Whoever says so gets what a pipe gets."""
    put(kinds.MODELRELEASE, "price", RELEASE, serving("3"))
    screen = Terminal("get", "mr", **variables)
    try:
        assert screen.end() == 0
        assert "Promoted" in screen.text
        assert "\x1b" not in screen.text
    finally:
        screen.kill()


class Terminal:
    """The program on a real pseudo-terminal."""

    def __init__(self, *arguments: str, program: str = MAIN, **variables: str) -> None:
        self.text = ""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"} | variables)
            os.execv(sys.executable, [sys.executable, "-c", program, *arguments])

    def wait_for(self, word: str, seconds: float = 30) -> None:
        """Read until the word was shown."""
        deadline = time.monotonic() + seconds
        while word not in self.text:
            assert time.monotonic() < deadline, self.text
            if not self._read(0.5):
                raise AssertionError(f"it ended: {self.text}")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._fd, b"\x03")

    def end(self) -> int:
        """Read to the end; return the exit code."""
        while self._read(30):
            pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def kill(self) -> None:
        """Make sure that it is gone."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self.text += data.decode()
        return bool(data)
