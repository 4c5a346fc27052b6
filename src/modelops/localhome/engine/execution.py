"""Runs one Workflow in a thread of its own, and writes its status as it goes.

What an earlier engine finished is not run again; what it was running when it died is ended first, then tried anew.
"""

import base64
import logging
import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import SECRET, WORKFLOW
from modelops.errors import ModelopsError, Transient
from modelops.localhome.engine import nodes
from modelops.localhome.engine.nodes import Try, stamp
from modelops.localhome.engine.parse import Container, Program, Task, UnsupportedLocallyError, fill, parse
from modelops.localhome.engine.step import LATE, Outcome, run_step

_NOT_INHERITED = ("MODELOPS_", "KUBECONFIG", "MLFLOW_")
_Answer = TypeVar("_Answer")
RECORDS: Final = "step_"
"""Begins the name of every record of a step's process; no namespace, which begins the others, holds an underscore."""


class Execution:
    """One Workflow under way.

    Args:
        client: the API server.
        workflow: the Workflow as it was when it was found.
        state: the local home's state directory.
        environment: what steps inherit.
        slots: how many steps of all Workflows run at once.
    """

    def __init__(
        self,
        client: KubeClient,
        workflow: Mapping[str, Any],
        state: Path,
        environment: Mapping[str, str],
        slots: threading.Semaphore,
    ) -> None:
        meta = workflow["metadata"]
        self._client, self._workflow = client, workflow
        self._namespace, self._name, self.uid = meta["namespace"], meta["name"], meta["uid"]
        self._label = f"{self._namespace}.{self._name}"
        self._state = state
        self._scratch = scratch_of(state, workflow)
        self._environment = {k: v for k, v in environment.items() if not k.startswith(_NOT_INHERITED)}
        self._slots = slots
        self._cancelled = threading.Event()
        self._gone = False
        self._log = logging.getLogger(__name__)
        self._thread = threading.Thread(target=self._run, name=self._label, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self, *, gone: bool) -> None:
        """End its steps. `gone`: the object is no more, so nothing is written."""
        self._gone = self._gone or gone
        self._cancelled.set()

    def join(self, seconds: float) -> bool:
        """Return whether it has ended within so many seconds."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        status = self._workflow.get("status") or {}
        started = status.get("startedAt") or stamp()
        try:
            program = parse(self._workflow)
            self._patch({"phase": "Running", "startedAt": started, "progress": f"0/{len(program.tasks)}"})
            self._steps(program, started)
        except UnsupportedLocallyError as error:
            self._finish("Error", f"UnsupportedLocally: {error}")
        except ModelopsError as error:
            self._log.warning("%s: %s", self._label, error.message)
        except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
            # A Workflow of a shape that nobody thought of must end too, or its owner waits for ever.
            self._log.exception("%s", self._label)
            self._finish("Error", f"the engine failed: {type(error).__name__}: {error}")
        finally:
            if self._gone:
                self.forget()

    def forget(self) -> None:
        """Remove what its steps wrote."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _steps(self, program: Program, started: str) -> None:
        values = {"workflow.uid": self.uid, "workflow.name": self._name, "workflow.namespace": self._namespace}
        deadline = None
        if program.deadline is not None:
            since = datetime.strptime(started, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            deadline = time.monotonic() + program.deadline - (datetime.now(UTC) - since).total_seconds()
        for done, task in enumerate(program.tasks):
            outputs = nodes.succeeded_before(self._workflow, task)
            if outputs is None:
                outcome = self._task(task, values, deadline)
                if self._cancelled.is_set():
                    if not self._gone and self._stopped_by_word():
                        self._finish("Failed", "Stopped with strategy 'Terminate'")
                    return
                if outcome.exit_code != 0:
                    self._finish("Failed", f"{task.name}: {outcome.message}")
                    return
                outputs = outcome.outputs
            values |= {f"tasks.{task.name}.outputs.parameters.{key}": value for key, value in outputs.items()}
            self._patch({"progress": f"{done + 1}/{len(program.tasks)}"})
        self._finish("Succeeded", "")
        self.forget()

    def _task(self, task: Task, values: Mapping[str, str], deadline: float | None) -> Outcome:
        index = nodes.tries_before(self._workflow, task)
        failures = 0
        while True:
            outcome = self._try(task, index, values, deadline)
            if outcome.exit_code == 0 or self._cancelled.is_set():
                return outcome
            failures += 1
            late = deadline is not None and time.monotonic() >= deadline
            if late or not task.retry.again(outcome.exit_code, failures):
                return outcome
            delay = task.retry.delay(failures)
            left = math.inf if deadline is None else max(0.0, deadline - time.monotonic())
            if self._cancelled.wait(min(left, delay)) or left <= delay:
                return Outcome(None, LATE, {})
            index += 1

    def _try(self, task: Task, index: int, values: Mapping[str, str], deadline: float | None) -> Outcome:
        inputs = {f"inputs.parameters.{key}": fill(text, values) for key, text in task.arguments.items()}
        environments = [self._environment | self._env(container, {**values, **inputs}) for container in task.containers]
        if not self._slot(deadline):
            return Outcome(None, LATE, {})
        root = self._scratch / f"{task.name}-{index}"
        try:
            found = Try("Running", stamp())
            self._put(task, index, found)
            for container, env in zip(task.containers, environments, strict=True):
                outcome = run_step(
                    container.argv,
                    env,
                    root=root,
                    outputs=task.outputs if container is task.containers[-1] else {},
                    message_path=task.message_path,
                    log=self._state / "logs" / f"{self._label}.{task.name}.log",
                    record=self._state / "processes" / f"{RECORDS}{self._label}.{self.uid}.{task.name}.json",
                    cancelled=self._cancelled,
                    deadline=deadline,
                )
                if outcome.exit_code != 0:
                    break
        finally:
            # Its outputs were read, its words are in the log; what it wrote may be gigabytes.
            shutil.rmtree(root, ignore_errors=True)
            self._slots.release()
        found.finished, found.message, found.exit_code = stamp(), outcome.message, outcome.exit_code
        found.outputs = outcome.outputs
        lost = outcome.exit_code is None
        found.phase = "Succeeded" if outcome.exit_code == 0 else "Error" if lost else "Failed"
        if not self._gone:
            self._put(task, index, found)
        return outcome

    def _slot(self, deadline: float | None) -> bool:
        """Wait for a turn; False when cancelled or late."""
        while not self._cancelled.is_set() and (deadline is None or time.monotonic() < deadline):
            if self._slots.acquire(timeout=0.2):
                return True
        return False

    def _env(self, container: Container, values: Mapping[str, str]) -> dict[str, str]:
        env: dict[str, str] = {}
        for entry in container.env:
            source = entry.get("valueFrom")
            if source is None:
                env[entry["name"]] = fill(str(entry.get("value", "")), values)
                continue
            reference = source.get("secretKeyRef")
            if reference is None:
                raise UnsupportedLocallyError(f"env {entry['name']}: only secretKeyRef is read here")
            secret = self._patiently(partial(self._client.get, SECRET, self._namespace, reference["name"]))
            held = (secret or {}).get("data") or {}
            if reference["key"] in held:
                env[entry["name"]] = base64.b64decode(held[reference["key"]]).decode("utf-8", "replace")
            elif not reference.get("optional"):
                raise UnsupportedLocallyError(f"Secret {reference['name']} has no key {reference['key']}")
        return env

    def _put(self, task: Task, index: int, found: Try) -> None:
        node = nodes.try_node(self._name, task, index, found)
        self._patch({"nodes": {node["id"]: node}})

    def _finish(self, phase: str, message: str) -> None:
        self._patch({"phase": phase, "finishedAt": stamp(), "message": message or None})
        self._log.info("%s: %s %s", self._label, phase, message)

    def _stopped_by_word(self) -> bool:
        found = self._patiently(partial(self._client.get, WORKFLOW, self._namespace, self._name))
        return found is not None and bool(found["spec"].get("shutdown"))

    def _patch(self, status: Mapping[str, Any]) -> None:
        """Write a part of the status."""
        patch = {"status": status}
        self._patiently(partial(self._client.merge_patch, WORKFLOW, self._namespace, self._name, patch))

    def _patiently(self, call: Callable[[], _Answer]) -> _Answer | None:
        """Ask until the API server answers: an outcome must not be lost. None once the object is gone."""
        delay = 0.2
        while not self._gone:
            try:
                return call()
            except Transient as error:
                self._log.warning("%s: %s; tried again", self._label, error.message)
                time.sleep(delay)
                delay = min(5.0, delay * 2)
        return None


def scratch_of(state: Path, workflow: Mapping[str, Any]) -> Path:
    """Return where a Workflow's steps write; another one of the same name writes elsewhere."""
    meta = workflow["metadata"]
    return state / "scratch" / f"{meta['namespace']}.{meta['name']}.{meta['uid']}"


def processors() -> int:
    """Return how many steps may run at once."""
    return max(1, len(os.sched_getaffinity(0)))
