"""Observes GitSources: fetches, reads the manifests, looks up the live objects."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from modelops.api.accounts import ServiceAccount
from modelops.api.kinds import GITSOURCE, Kind
from modelops.api.labels import CONFIRM_PRUNE, REQUESTED_AT
from modelops.api.manifest import MAX_BYTES, Manifest, Problem, read
from modelops.api.v1alpha1.gitsource import GitSourceSpec, GitSourceStatus
from modelops.domain.gitsync import outcomes
from modelops.domain.gitsync.decide import Observed, decide_gitsync
from modelops.domain.gitsync.desired import ALLOWED, Wanted, desired
from modelops.domain.plan import Plan
from modelops.errors import Forbidden, Stalled
from modelops.ports import GitBlob, GitRemote
from modelops.reconcile.bundle import Ports
from modelops.reconcile.outcomes import observe_outcomes
from modelops.reconcile.wiring import remote_of

_MAX_TOTAL: Final = 32 * 1024 * 1024
_ENDINGS: Final = (".yaml", ".yml", ".json")
_KUSTOMIZATION: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")


_Read = tuple[list[Wanted], list[Problem], int]
_KEPT: Final = 256


class GitSourceReconciler:
    """The GitSource's part of the loop.

    What a commit holds never changes, so it is read once: a poll without news costs a question to the remote and a
    comparison with the live objects.
    """

    def __init__(self) -> None:
        self._read: OrderedDict[tuple[str, ...], _Read] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def kind(self) -> Kind:
        """GitSource."""
        return GITSOURCE

    def observe(self, obj: dict[str, Any], ports: Ports) -> Observed | outcomes.Observed:
        """Fetch what the ref names, read every manifest below the path, and the live objects they are about.

        Where outcomes are due, that is all this pass is about: writing them must not wait for what is wrong with a
        commit, nor a commit for them.
        """
        meta = obj["metadata"]
        spec = GitSourceSpec.model_validate(obj["spec"])
        current = GitSourceStatus.model_validate(obj.get("status") or {})
        try:
            account = _account(spec, meta["namespace"], ports)
            asked = _is_asked(meta, current)
            if not asked and outcomes.is_due(due := observe_outcomes(obj, account, ports)):
                return due
            remote = remote_of(spec, meta["namespace"], ports)
            commit = ports.git.fetch(remote, branch=spec.ref.branch, tag=spec.ref.tag, commit=spec.ref.commit)
            wanted, problems, files = self._at(commit, meta, spec, remote, ports)
            live, unreadable = _live(wanted, current, meta["namespace"], ports, account)
        except Stalled as error:
            # What is wrong may be mended in git or by granting rights, where no watch looks.
            remedy = f"; {error.remedy}" if isinstance(error, Forbidden) else ""
            raise Stalled(error.reason, error.message + remedy, retry_after=spec.interval) from error
        return Observed(
            name=meta["name"],
            namespace=meta["namespace"],
            spec=spec,
            status=current,
            commit=commit,
            wanted=wanted,
            problems=problems,
            files=files,
            live=live,
            unreadable=unreadable,
            account=account,
            confirmed=(meta.get("annotations") or {}).get(CONFIRM_PRUNE, ""),
            asked=asked,
            now=ports.clock.now(),
        )

    def decide(self, observed: Observed | outcomes.Observed) -> Plan:
        """Decide."""
        if isinstance(observed, outcomes.Observed):
            return outcomes.decide_outcomes(observed)
        return decide_gitsync(observed)

    def _at(self, commit: str, meta: dict[str, Any], spec: GitSourceSpec, remote: GitRemote, ports: Ports) -> _Read:
        key = (spec.url, commit, spec.path, meta["namespace"], meta["name"])
        with self._lock:
            if key in self._read:
                self._read.move_to_end(key)
                return self._read[key]
        manifests, problems, files = _manifests(remote, ports.git.tree(remote, commit, spec.path), ports)
        wanted, refused = desired(manifests, meta["name"], meta["namespace"], commit)
        found = (wanted, [*problems, *refused], files)
        with self._lock:
            self._read[key] = found
            while len(self._read) > _KEPT:
                self._read.popitem(last=False)
        return found


def _is_asked(meta: dict[str, Any], status: GitSourceStatus) -> bool:
    """Return whether there is a spec, or a request for a look, that no pass has answered yet."""
    requested = (meta.get("annotations") or {}).get(REQUESTED_AT)
    if requested is not None and requested != status.last_handled_reconcile_at:
        return True
    return status.observed_generation != int(meta.get("generation", 0))


def _manifests(remote: GitRemote, blobs: Sequence[GitBlob], ports: Ports) -> tuple[list[Manifest], list[Problem], int]:
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    files = [blob for blob in blobs if blob.path.endswith(_ENDINGS)]
    if sum(blob.size for blob in files) > _MAX_TOTAL:
        raise Stalled("TooLarge", f"the manifests have more than {_MAX_TOTAL} bytes; name a smaller spec.path")
    for blob in files:
        if blob.path.rpartition("/")[2] in _KUSTOMIZATION:
            problems.append(Problem(blob.path, 1, "", "", "kustomizations are not supported; commit plain manifests"))
        elif blob.size > MAX_BYTES:
            problems.append(
                Problem(blob.path, 0, "", "", f"the file has {blob.size} bytes, at most {MAX_BYTES} are read")
            )
        else:
            found, wrong = read(ports.git.read(remote, blob, limit=MAX_BYTES), blob.path)
            manifests += found
            problems += wrong
    return manifests, problems, len(files)


def _live(
    wanted: Sequence[Wanted],
    current: GitSourceStatus,
    namespace: str,
    ports: Ports,
    account: ServiceAccount | None,
) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[tuple[str, str], Forbidden]]:
    """Return what is there of what is wanted or was applied, and what the account may not read."""
    keys = {(item.resource.api_version, item.resource.kind, item.obj["metadata"]["name"]) for item in wanted}
    keys |= {(entry.api_version, entry.kind, entry.name) for entry in current.inventory}
    objects = ports.cluster if account is None else ports.cluster.acting_as(account)
    live, unreadable = {}, {}
    for api_version, kind, name in keys:
        resource = ALLOWED.get((api_version, kind))
        try:
            found = objects.get(resource, namespace, name) if resource else None
        except Forbidden as error:
            if error.reason != "Forbidden":
                raise  # the operator may not act as the account at all
            unreadable[kind, name] = error
            continue
        if found is not None:
            live[kind, name] = found
    return live, unreadable


def _account(spec: GitSourceSpec, namespace: str, ports: Ports) -> ServiceAccount | None:
    """Return as whom the GitSource acts: always somebody of its own namespace, or None, the operator.

    An account that was deleted keeps what its bindings grant to whoever acts under its name, so it is looked at first.
    """
    name = spec.service_account_name or ports.settings.default_service_account
    if name is None:
        return None
    account = ServiceAccount(namespace, name)
    if not ports.cluster.has_account(account):
        by = (
            "spec.serviceAccountName"
            if spec.service_account_name
            else "the operator's MODELOPS_DEFAULT_SERVICE_ACCOUNT"
        )
        how = f"create it: kubectl -n {namespace} create serviceaccount {name}"
        raise Stalled("ServiceAccountNotFound", f"there is no {account}, which {by} names; {how}")
    return account
