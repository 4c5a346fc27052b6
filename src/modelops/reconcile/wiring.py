"""Small readings that several observers share: owner, runtime, credentials, commands."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelops.api.kinds import GITSOURCE, SECRET, SERVICEACCOUNT
from modelops.api.labels import COMMAND
from modelops.api.v1alpha1.common import Status
from modelops.api.v1alpha1.gitsource import GitSourceSpec
from modelops.domain.release.revision import ServingDefaults
from modelops.errors import Waiting
from modelops.ports import GitRemote
from modelops.reconcile.bundle import Ports, Settings
from modelops.workflows.render import Owner, Runtime


def owner_of_object(obj: Mapping[str, Any]) -> Owner:
    """Return an object as the owner of what is made for it."""
    meta = obj["metadata"]
    return Owner(obj["apiVersion"], obj["kind"], meta["name"], meta.get("namespace") or "", meta.get("uid", ""))


def runtime_of(settings: Settings) -> Runtime:
    """Return what the configuration says of Workflow pods."""
    return Runtime(
        settings.trainer_image,
        settings.mlflow_tracking_uri,
        settings.workflow_service_account,
        registry_secret=settings.registry_secret,
    )


def serving_of(settings: Settings) -> ServingDefaults:
    """Return what the configuration says of servers."""
    return ServingDefaults(
        settings.server_image, settings.mlflow_tracking_uri, settings.mlserver_image, settings.registry_secret
    )


def pull_secrets(namespace: str, ports: Ports) -> tuple[str, ...]:
    """Return the names of the Secrets that servers are to pull with: those of the account of Workflow pods.

    Those of `default`, as which servers run, come after them: Kubernetes gives them only to pods that name none.
    """

    def of(account: str) -> list[str]:
        found = ports.cluster.get(SERVICEACCOUNT, namespace, account) or {}
        return [secret["name"] for secret in found.get("imagePullSecrets") or ()]

    runs = ports.settings.workflow_service_account
    named = [] if runs is None else of(runs)
    return tuple(dict.fromkeys([*named, *of("default")])) if named else ()


@dataclass(frozen=True, slots=True)
class Source:
    """A repository at the commit that its GitSource saw last."""

    url: str
    commit: str
    remote: GitRemote
    secret: str | None
    """Name of the Secret with its credentials."""


def source_at(namespace: str, name: str, ports: Ports) -> tuple[Source | None, str]:
    """Return a GitSource's repository at its last commit; or None, and why it is not known."""
    found = ports.cluster.get(GITSOURCE.resource, namespace, name)
    if found is None:
        return None, f"there is no GitSource {name} in namespace {namespace}"
    status = found.get("status") or {}
    revision = status.get("lastAttemptedRevision") or status.get("lastAppliedRevision")
    if not revision:
        return None, f"GitSource {name} has not fetched anything yet"
    spec = GitSourceSpec.model_validate(found["spec"])
    secret = spec.secret_ref.name if spec.secret_ref else None
    remote = GitRemote(spec.url, credentials(ports.cluster.get(SECRET, namespace, secret)) if secret else None)
    return Source(spec.url, str(revision).rpartition(":")[2], remote, secret), ""


def remote_of(spec: GitSourceSpec, namespace: str, ports: Ports) -> GitRemote:
    """Return a GitSource's repository with its credentials, read as the operator: no account need read Secrets.

    Raises:
        Waiting: there is no such Secret (SecretNotFound).
    """
    if spec.secret_ref is None:
        return GitRemote(spec.url)
    found = ports.cluster.get(SECRET, namespace, spec.secret_ref.name)
    if found is None:
        raise Waiting("SecretNotFound", f"there is no Secret {spec.secret_ref.name} in namespace {namespace}")
    return GitRemote(spec.url, credentials(found))


def credentials(secret: Mapping[str, Any] | None) -> dict[str, bytes] | None:
    """Return a Secret's data, decoded; None if there is no Secret."""
    if secret is None:
        return None
    return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}


def command_of(obj: Mapping[str, Any], status: Status) -> dict[str, Any] | None:
    """Return the command that was not handled yet, or None; what is not JSON is no command."""
    text = (obj["metadata"].get("annotations") or {}).get(COMMAND)
    if not text or len(text) > 4096:
        return None
    try:
        command = json.loads(text)
    except ValueError:
        return None
    if not isinstance(command, dict) or not isinstance(command.get("id"), str):
        return None
    return None if command["id"] == status.last_handled_command else command


def retry_command(obj: Mapping[str, Any], status: Status) -> str | None:
    """Return the id of an unhandled `retry` command."""
    command = command_of(obj, status)
    return str(command["id"]) if command is not None and command.get("verb") == "retry" else None
