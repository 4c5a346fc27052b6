"""What became of one revision of a release, as a file and a commit for git. Pure, and the same bytes every time."""

import re
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from modelops.api.v1alpha1.gitsource import Outcomes
from modelops.api.v1alpha1.modelrelease_status import ReleaseRecord
from modelops.domain.plan import FileCommit

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_REVISION: Final = re.compile(r"[0-9a-f]{1,16}")
_WORDS: Final = {
    "Promoted": "promoted",
    "RolledBack": "rolled back",
    "Aborted": "aborted",
    "Superseded": "superseded",
}


def outcome_commit(outcomes: Outcomes, namespace: str, release: str, record: ReleaseRecord) -> FileCommit | None:
    """Return the file and its commit; None if a name would not be safe in a path, as no API server lets it be."""
    if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(release) and _REVISION.fullmatch(record.revision)):
        return None
    at = record.finished_at.astimezone(UTC)
    name = f"{at:%Y%m%dT%H%M%SZ}-{record.revision}-{record.outcome.lower()}.yaml"
    path = "/".join([*([outcomes.path] if outcomes.path else []), namespace, release, name])
    author = f"{outcomes.author.name} <{outcomes.author.email}>"
    return FileCommit(path, _content(namespace, release, record), _message(namespace, release, record), author, at)


def _content(namespace: str, release: str, record: ReleaseRecord) -> bytes:
    metrics = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in record.metrics]
    said: dict[str, Any] = {
        "release": release,
        "namespace": namespace,
        "outcome": record.outcome,
        "version": record.version,
        "revision": record.revision,
        "reason": _one_line(record.message),
        "startedAt": _stamp(record.started_at),
        "finishedAt": _stamp(record.finished_at),
        "commits": _commits(record),
        "metrics": [{key: value for key, value in metric.items() if value != ""} for metric in metrics],
    }
    kept = {key: value for key, value in said.items() if value}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=2000).encode()


def _message(namespace: str, release: str, record: ReleaseRecord) -> str:
    lines = [f"{release}: version {_one_line(record.version)} {_WORDS[record.outcome]}"]
    if record.message:
        lines += ["", _one_line(record.message)]
    lines += ["", f"Release: {namespace}/{release}", f"Revision: {record.revision}"]
    lines += [f"{name.capitalize()}-Commit: {commit}" for name, commit in _commits(record).items()]
    # Builds that are begun by every push leave this one out.
    return "\n".join([*lines, "", "[skip ci]", ""])


def _commits(record: ReleaseRecord) -> dict[str, str]:
    """Return which commits asked for it: those that had last changed the release, its training and its data."""
    asked = {"release": record.release_commit, "training": record.commit, "dataset": record.dataset_commit}
    return {name: commit for name, commit in asked.items() if re.fullmatch(r"[0-9a-f]{40}", commit)}


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _one_line(text: str) -> str:
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
