"""GitSource: where the objects come from."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from modelops.api.v1alpha1.common import (
    Duration,
    LocalRef,
    Model,
    Name,
    ServiceAccountName,
    Spec,
    Status,
    StatusModel,
    rule,
    rules,
)

_PLAIN: Final = r"^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?(/[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?)*$"
"""Names between slashes; none begins with a dot or a dash, or ends with a dot."""
_IDENTITY: Final = r"^[^\s<>\x00-\x1f\x7f]+( [^\s<>\x00-\x1f\x7f]+)*$"
"""What git takes on either side of `<`."""


class GitRef(Model):
    """What to follow: exactly one of branch, tag and commit."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "[has(self.branch), has(self.tag), has(self.commit)].filter(x, x).size() == 1",
                "set exactly one of branch, tag and commit",
            )
        )
    }

    branch: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^-/\s~^:?*\[\\][^\s~^:?*\[\\]*$")] | None = (
        None
    )
    tag: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^-/\s~^:?*\[\\][^\s~^:?*\[\\]*$")] | None = None
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$", max_length=40)] | None = None


class Author(Model):
    """Who commits."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=_IDENTITY)] = "modelops"
    email: Annotated[str, Field(min_length=1, max_length=254, pattern=_IDENTITY)] = "modelops@localhost"
    """Some servers take commits of their members' addresses only."""


class Outcomes(Model):
    """Where to write what became of the releases that this GitSource brought: a file and a commit for each end."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "!self.branch.contains('..') && !self.branch.contains('.lock') && !self.branch.startsWith('refs/')",
                "git has no such branch: write its name without refs/heads/, '..' and '.lock'",
            )
        )
    }

    branch: Annotated[str, Field(min_length=1, max_length=200, pattern=_PLAIN)] = "modelops/outcomes"
    """A branch of the same repository, not the one that is synced; it is made when missing. Its history only grows."""
    path: Annotated[str, Field(min_length=1, max_length=512, pattern=_PLAIN)] | None = None
    """A directory on that branch, such as one for each cluster; by default its root."""
    author: Author = Author()


class GitSourceSpec(Spec):
    """A directory of manifests in a git repository."""

    model_config = {
        "json_schema_extra": rules(
            rule(
                "!has(self.outcomes) || !has(self.ref.branch) || self.outcomes.branch != self.ref.branch",
                "outcomes.branch is the branch that is synced: name another one, so that what is written is never read",
            )
        )
    }

    url: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^(https|ssh|http|file)://[^\s]+$")]
    """https or ssh; file and http only where the operator's configuration allows them."""
    ref: GitRef = GitRef(branch="main")
    path: Annotated[str, Field(max_length=1024, pattern=r"^[^/].*$")] = "."
    """The directory of manifests, relative to the root of the repository."""
    interval: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=1)
    """How often the repository is asked for news."""
    prune: bool = True
    """Remove what git no longer has. An empty, missing or broken directory never prunes."""
    secret_ref: LocalRef | None = None
    """A Secret with `username` and `password` (https) or `identity` and `known_hosts` (ssh). The operator reads it."""
    service_account_name: ServiceAccountName | None = None
    """A ServiceAccount of the GitSource's namespace. What git brings is read, applied and pruned as this account, so
    nothing happens that it may not do. By default the operator's setting, and without one the operator itself."""
    outcomes: Outcomes | None = None
    """What became of its releases is written back, with the credentials of secretRef; by default it is not."""


class InventoryEntry(StatusModel):
    """One object that this GitSource applied."""

    api_version: Annotated[str, Field(max_length=253)]
    kind: Annotated[str, Field(max_length=63)]
    name: Annotated[str, Field(max_length=253)]


class WrittenOutcome(StatusModel):
    """The newest end of one release that stands in git."""

    release: Annotated[str, Field(max_length=253)]
    revision: Annotated[str, Field(max_length=16)]
    outcome: Annotated[str, Field(max_length=16)]
    finished_at: AwareDatetime


class OutcomesStatus(StatusModel):
    """How far the outcomes are written."""

    written: Annotated[tuple[WrittenOutcome, ...], Field(max_length=5000)] = ()
    retry_at: AwareDatetime | None = None
    """When writing is tried again; None while nothing failed."""


class GitSourceStatus(Status):
    """What was fetched, what was applied, and what is owned because of it."""

    last_attempted_revision: Annotated[str, Field(max_length=320)] | None = None
    """`<ref>@sha1:<commit>` of the last fetch that was looked at."""
    last_applied_revision: Annotated[str, Field(max_length=320)] | None = None
    """`<ref>@sha1:<commit>` of the last commit whose every object was applied."""
    last_fetched_at: AwareDatetime | None = None
    inventory: Annotated[tuple[InventoryEntry, ...], Field(max_length=5000)] = ()
    """Only what stands here is ever pruned."""
    outcomes: OutcomesStatus | None = None
    """None where nothing is written back, or nothing has been yet."""


__all__ = ["GitRef", "GitSourceSpec", "GitSourceStatus", "InventoryEntry", "Name", "Outcomes", "OutcomesStatus"]
