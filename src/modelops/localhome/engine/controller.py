"""Starts an execution for every Workflow that has not ended, cancels those that are deleted, removes old ones."""

import logging
import shutil
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from modelops.adapters.cluster import KubeClient
from modelops.adapters.watch import Mirror
from modelops.api.kinds import WORKFLOW
from modelops.api.labels import MANAGED_BY, MANAGER
from modelops.errors import ModelopsError
from modelops.localhome import children
from modelops.localhome.engine.execution import RECORDS, Execution, processors, scratch_of
from modelops.localhome.engine.strays import end_strays

_ENDED: Final = frozenset({"Succeeded", "Failed", "Error"})


class EngineController:
    """Runs Workflows.

    Args:
        client: the API server.
        state: the local home's state directory.
        environment: what steps inherit.
    """

    def __init__(self, client: KubeClient, state: Path, environment: Mapping[str, str]) -> None:
        self._client, self._state, self._environment = client, state, environment
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._log = logging.getLogger(__name__)
        self._workflows = Mirror(
            client, WORKFLOW, self._changed, labels={MANAGED_BY: MANAGER}, complain=self._log.warning
        )
        self._running: dict[str, Execution] = {}
        self._slots = threading.Semaphore(processors())

    def run(self) -> None:
        """Run until `stop`; then end every step. An unfinished Workflow goes on with the next engine."""
        for record in (self._state / "processes").glob(f"{RECORDS}*.json"):
            children.end_recorded(record)
        end_strays(self._state / "scratch")
        self._workflows.start()
        while not self._workflows.wait_synced(1):
            if self._stopping.is_set():
                return
        while not self._stopping.is_set():
            self._changed.wait(5)
            self._changed.clear()
            self._pass()
        for execution in self._running.values():
            execution.cancel(gone=True)
        for execution in self._running.values():
            execution.join(15)

    def stop(self) -> None:
        """End soon; called from another thread."""
        self._stopping.set()
        self._changed.set()

    def _pass(self) -> None:
        found = {w["metadata"]["uid"]: w for w in self._workflows.objects().values()}
        for uid in list(self._running):
            execution = self._running[uid]
            if execution.join(0):
                # One that has ended is kept until it is deleted, because then its scratch goes with it.
                if uid not in found:
                    execution.forget()
                    del self._running[uid]
            elif uid not in found or found[uid]["metadata"].get("deletionTimestamp"):
                execution.cancel(gone=True)
            elif found[uid]["spec"].get("shutdown"):
                execution.cancel(gone=False)
        for uid, workflow in found.items():
            status = workflow.get("status") or {}
            if workflow["metadata"].get("deletionTimestamp"):
                continue
            if status.get("phase") in _ENDED:
                self._expire(workflow, status)
                continue
            if uid in self._running:
                continue
            execution = Execution(self._client, workflow, self._state, self._environment, self._slots)
            self._running[uid] = execution
            execution.start()

    def _expire(self, workflow: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        ttl = (workflow["spec"].get("ttlStrategy") or {}).get("secondsAfterCompletion")
        ended = status.get("finishedAt")
        if ttl is None or not ended:
            return
        since = datetime.strptime(ended, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if (datetime.now(UTC) - since).total_seconds() < float(ttl):
            return
        meta = workflow["metadata"]
        try:
            self._client.delete(WORKFLOW, meta["namespace"], meta["name"], uid=meta["uid"])
        except ModelopsError as error:
            self._log.warning("%s: %s", meta["name"], error.message)
        shutil.rmtree(scratch_of(self._state, workflow), ignore_errors=True)
