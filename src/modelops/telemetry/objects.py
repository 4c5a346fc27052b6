"""What is shown of GitSources, Datasets and TrainingRuns."""

from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry

from modelops.telemetry.family import OBJECT, RELEASE, Family, Owner, fields, seconds_since_1970

_PHASES: Final = ("Pending", "Running", "Succeeded", "Failed", "Error")
_OUTCOMES: Final = ("Registered", "CriteriaNotMet", "Failed", "Lost", "Suspended", "Superseded")


class ObjectSeries:
    """Series of what releases are made from.

    Args:
        registry: where the series live.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def family(name: str, what: str, *more: str, owner: tuple[str, ...] = RELEASE) -> Family:
            return Family(f"modelops_{name}", what, owner, more, registry)

        self._phase = family(
            "attempt_phase", "1 for the phase of the Workflow of the current attempt.", "phase", owner=OBJECT
        )
        self._began = family("attempt_started_timestamp_seconds", "When the current attempt began.", owner=OBJECT)
        self._applied = family("gitsource_applied", "1 if all of the commit that was fetched last is applied, else 0.")
        self._fetched = family(
            "gitsource_revision_timestamp_seconds", "When the commit that was fetched last was first seen."
        )
        self._objects = family("gitsource_objects", "Objects that a GitSource has applied and keeps.")
        self._rows = family("dataset_rows", "Rows of the pinned revision.")
        self._bytes = family("dataset_bytes", "Bytes of the pinned revision.")
        self._quarantined = family("dataset_quarantined_rows", "Rows that broke the schema and were set aside.")
        self._parts = family("dataset_split_rows", "Rows of each part.", "part")
        self._version = family("trainingrun_registered_version", "The last version that a run registered.")
        self._last = family("trainingrun_last_outcome", "1 for how the last attempt ended.", "outcome")
        self._ended = family("trainingrun_last_outcome_timestamp_seconds", "When the last attempt ended.")
        self._looks = family("trainingrun_test_looks", "How often a run was judged on the same test part.")
        self._of_kind = (self._phase, self._began)
        self._families: Mapping[str, tuple[Family, ...]] = {
            "GitSource": (self._applied, self._fetched, self._objects),
            "Dataset": (self._rows, self._bytes, self._quarantined, self._parts),
            "TrainingRun": (self._version, self._last, self._ended, self._looks),
        }

    def observed(self, kind: str, owner: Owner, status: Mapping[str, Any]) -> None:
        """Show an object's status."""
        match kind:
            case "GitSource":
                self._source(owner, status)
            case "Dataset":
                self._attempt(kind, owner, status)
                self._dataset(owner, status)
            case "TrainingRun":
                self._attempt(kind, owner, status)
                self._run(owner, status)
            case _:
                pass

    def gone(self, kind: str, owner: Owner) -> None:
        """Delete an object's series."""
        for family in self._families.get(kind, ()):
            family.gone(owner)
        for family in self._of_kind:
            family.gone((kind, *owner))

    def _attempt(self, kind: str, owner: Owner, status: Mapping[str, Any]) -> None:
        self._phase.choose((kind, *owner), fields(status, "workflow").get("phase"), _PHASES)
        self._began.say((kind, *owner), seconds_since_1970(fields(status, "attempt").get("startedAt")))

    def _source(self, owner: Owner, status: Mapping[str, Any]) -> None:
        tried, applied = status.get("lastAttemptedRevision"), status.get("lastAppliedRevision")
        self._applied.say(owner, float(tried is not None and tried == applied))
        self._fetched.say(owner, seconds_since_1970(status.get("lastFetchedAt")))
        self._objects.say(owner, len(status.get("inventory") or ()))

    def _dataset(self, owner: Owner, status: Mapping[str, Any]) -> None:
        revision = fields(status, "revision")
        self._rows.say(owner, revision.get("rows"))
        self._bytes.say(owner, revision.get("bytes"))
        self._quarantined.say(owner, status.get("quarantined"))
        self._parts.show(owner, {(part,): rows for part, rows in fields(status, "splits").items()})

    def _run(self, owner: Owner, status: Mapping[str, Any]) -> None:
        version = str(status.get("modelVersion") or "")
        self._version.say(owner, int(version) if version.isdigit() else None)
        history = status.get("history") or ()
        last = history[-1] if history else {}
        self._last.choose(owner, last.get("outcome"), _OUTCOMES)
        self._ended.say(owner, seconds_since_1970(last.get("finishedAt")))
        self._looks.say(owner, status.get("testLooks"))
