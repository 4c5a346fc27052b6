"""What a revision is: one artifact behind one serving template. Its identity, its names, its pod template. Pure.

Replicas, strategy, analysis and traffic are not part of it: changing them starts no canary.
"""

import copy
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from modelops.api.labels import MANAGED_BY, MANAGER, MODEL, OWNER_KIND, OWNER_NAME, RELEASE, REVISION
from modelops.api.secrets import REGISTRY_LOGIN, from_secret
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus, ReleaseLineage, RevisionStatus

PORT: Final = 8080
_LENGTH: Final = 10
_DIRECTORY: Final = "MODEL_DIR"
"""Variable that holds where the fetched model lies."""
ANSWERS_KEY: Final = "ANSWERS_KEY"
"""Variable that holds the key to the answers that our server keeps."""
_V2: Final[Mapping[str, str]] = {"ready": "/v2/health/ready", "live": "/v2/health/live"}
_RESTRICTED: Final = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_POD: Final = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    # A model server asks Kubernetes nothing.
    "automountServiceAccountToken": False,
    "terminationGracePeriodSeconds": 30,
}
"""With `_RESTRICTED`, what Kubernetes' restricted Pod Security standard asks for. A team's own template is its own."""


@dataclass(frozen=True, slots=True)
class ServingDefaults:
    """What the operator's configuration says of servers."""

    image: str
    mlflow_tracking_uri: str
    mlserver_image: str = ""
    registry_secret: str | None = None
    """The Secret with MLflow's login in the release's namespace, for our own containers only."""
    pull_secrets: Sequence[str] = ()
    """The Secrets in the release's namespace that images are pulled with. A team's own template names its own."""

    def image_of(self, runtime: str) -> str:
        """Return the image of a runtime's server."""
        return self.mlserver_image if runtime == "mlserver" else self.image


@dataclass(frozen=True, slots=True)
class Registered:
    """A version as the registry has it."""

    version: str
    run_id: str
    tags: Mapping[str, str]


def candidate(spec: ModelReleaseSpec, found: Registered, defaults: ServingDefaults, now: datetime) -> RevisionStatus:
    """Return the revision that a registered version is under this spec."""
    tags = found.tags
    # A version that modelops did not register has no digest of its bytes; its run stands in, which never changes.
    digest = tags.get("modelops.artifactDigest") or f"run:{found.run_id or found.version}"
    lineage = ReleaseLineage(
        commit=tags.get("modelops.commit", ""),
        dataset_commit=tags.get("modelops.datasetCommit", ""),
        content_digest=tags.get("modelops.contentDigest", ""),
        dataset_digest=tags.get("modelops.datasetDigest", ""),
        code_digest=tags.get("modelops.codeDigest", ""),
        workflow_uid=tags.get("modelops.workflowUid", ""),
        run_id=found.run_id,
        version=found.version,
        artifact_digest=digest,
        judged_against=tags.get("modelops.judgedAgainst", ""),
    )
    return RevisionStatus(
        version=found.version, revision=revision_of(spec, digest, defaults), digest=digest, lineage=lineage, since=now
    )


def asked_by(one: RevisionStatus, status: ModelReleaseStatus, commit: str) -> RevisionStatus:
    """Return a wanted revision with the commit that the release has come to want it by.

    Args:
        one: the revision.
        status: of the release; a revision that it has on its way or serving was asked for before.
        commit: that last changed the release; whatever is none stands for a release that git did not bring.
    """
    if any(one.revision == known.revision for known in (status.canary, status.stable) if known is not None):
        return one
    named = commit if re.fullmatch(r"[0-9a-f]{40}", commit) else ""
    return one.model_copy(update={"lineage": one.lineage.model_copy(update={"release_commit": named})})


def revision_of(spec: ModelReleaseSpec, digest: str, defaults: ServingDefaults) -> str:
    """Return the first 10 hex digits of sha256 over artifact digest and serving template."""
    serving = spec.serving
    template: Mapping[str, Any] = serving.pod_template or {
        "image": serving.image or defaults.image_of(serving.runtime),
        "resources": serving.resources or {},
    }
    basis = {"digest": digest, "runtime": serving.runtime, "template": template}
    canonical = json.dumps(basis, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:_LENGTH]


def child_name(release: str, revision: str) -> str:
    """Return the name of a revision's Deployment, Service and ControllerRevision."""
    return f"{release[:50].rstrip('-')}-{revision}"


def labels_of(release: str, revision: str) -> dict[str, str]:
    """Return the labels of a revision's children; its pods carry them too."""
    return {
        MANAGED_BY: MANAGER,
        OWNER_KIND: "ModelRelease",
        OWNER_NAME: release,
        RELEASE: release,
        REVISION: revision,
    }


def selector_of(release: str, revision: str) -> dict[str, str]:
    """Return what selects a revision's pods; those of all revisions where it is empty."""
    return {RELEASE: release, REVISION: revision} if revision else {RELEASE: release}


def selector_text(release: str, revision: str) -> str:
    """Return that selector as kubectl's -l takes it."""
    return ",".join(f"{key}={value}" for key, value in selector_of(release, revision).items())


def answers_key(uid: str) -> str:
    """Return what the operator shows a release's servers to see the answers that they keep, a bearer token.

    It tells nobody anything who may not read the namespace: who may sees the uid, and the answers in the pods.

    Args:
        uid: of the release.
    """
    return hashlib.sha256(f"answers of {uid}".encode()).hexdigest()


def pod_template(
    spec: ModelReleaseSpec, release: str, uid: str, revision: RevisionStatus, defaults: ServingDefaults
) -> dict[str, Any]:
    """Return the core/v1 PodTemplateSpec that serves a revision.

    Args:
        spec: of the release.
        release: its name.
        uid: its uid.
        revision: which one.
        defaults: the operator's configuration.
    """
    custom = spec.serving.pod_template
    template = copy.deepcopy(custom) if custom is not None else _ours(spec, release, uid, revision, defaults)
    if custom is None and defaults.pull_secrets:
        template["spec"]["imagePullSecrets"] = [{"name": name} for name in defaults.pull_secrets]
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels_of(release, revision.revision)}
    metadata["labels"][MODEL] = _label(spec.model.name)
    container = template.setdefault("spec", {}).setdefault("containers", [{"name": "server"}])[0]
    _listen(container)
    model_uri = f"models:/{spec.model.name}/{revision.version}"
    given = {
        "MODEL_URI": model_uri,
        "MODEL_NAME": release,
        "MODEL_VERSION": revision.version,
        "MLFLOW_TRACKING_URI": defaults.mlflow_tracking_uri,
    }
    env = container.setdefault("env", [])
    taken = {entry["name"] for entry in env}
    # Before the user's own, so that theirs can refer to them.
    container["env"] = [{"name": name, "value": value} for name, value in given.items() if name not in taken] + env
    return template


def _ours(
    spec: ModelReleaseSpec, release: str, uid: str, revision: RevisionStatus, defaults: ServingDefaults
) -> dict[str, Any]:
    match spec.serving.runtime:
        case "mlserver":
            return _fetched(spec, release, revision, defaults, ["mlserver", "start", f"$({_DIRECTORY})"], _V2)
        case "mlflow":
            model = f"$({_DIRECTORY})/model"
            where = ("--env-manager", "local", "--host", "$(HOST)", "--port", "$(PORT)")
            command = ["mlflow", "models", "serve", "-m", model, *where]
            return _fetched(spec, release, revision, defaults, command, {"ready": "/ping", "live": "/ping"})
        case "modelops" | "custom":
            pass
    container = _container(spec, defaults, ["modelops", "serve"], _V2)
    # Kept with the pod, so that a server that falls over comes back while the registry is away.
    container["env"] = [
        {"name": _DIRECTORY, "value": "/models"},
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - of the server's own container
        {"name": ANSWERS_KEY, "value": answers_key(uid)},
        *from_secret(defaults.registry_secret, REGISTRY_LOGIN),
    ]
    container["volumeMounts"] = [
        {"name": "models", "mountPath": "/models"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
    ]
    container["securityContext"] = {**_RESTRICTED, "readOnlyRootFilesystem": True}
    container["args"] = [
        *("--model-uri", f"models:/{spec.model.name}/{revision.version}", "--name", release),
        *("--model-version", revision.version, "--release", release, "--revision", revision.revision),
        *("--cache-dir", f"$({_DIRECTORY})"),
    ]
    volumes: list[dict[str, Any]] = [{"name": name, "emptyDir": {}} for name in ("models", "tmp")]
    return {"spec": {"containers": [container], "volumes": volumes, **copy.deepcopy(_POD)}}


def _container(
    spec: ModelReleaseSpec, defaults: ServingDefaults, command: list[str], health: Mapping[str, str]
) -> dict[str, Any]:
    def probe(path: str, **more: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": 5, "timeoutSeconds": 2} | more

    container: dict[str, Any] = {
        "name": "server",
        "image": spec.serving.image or defaults.image_of(spec.serving.runtime),
        "command": command,
        "readinessProbe": probe(health["ready"], failureThreshold=3),
        "livenessProbe": probe(health["live"], failureThreshold=6),
        "startupProbe": probe(health["live"], failureThreshold=60),
        "securityContext": _RESTRICTED,
        # Its last words are what the release says when it does not start.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if spec.serving.resources:
        container["resources"] = dict(spec.serving.resources)
    return container


def _fetched(
    spec: ModelReleaseSpec,
    release: str,
    revision: RevisionStatus,
    defaults: ServingDefaults,
    command: list[str],
    health: Mapping[str, str],
) -> dict[str, Any]:
    """Return the template of a server that is not ours: our image brings the model, then theirs serves it."""
    directory = {"name": _DIRECTORY, "value": "/models"}
    mount = {"name": "models", "mountPath": "/models"}
    init = {
        "name": "fetch",
        "image": defaults.image,
        "command": ["python", "-m", "modelops.server.fetch"],
        "args": [
            *("--model-uri", f"models:/{spec.model.name}/{revision.version}", "--to", f"$({_DIRECTORY})"),
            *("--name", release, "--model-version", revision.version),
        ],
        "env": [
            directory,
            {"name": "MLFLOW_TRACKING_URI", "value": defaults.mlflow_tracking_uri},
            *from_secret(defaults.registry_secret, REGISTRY_LOGIN),
        ],
        "volumeMounts": [mount],
        "securityContext": _RESTRICTED,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    container = _container(spec, defaults, command, health)
    container["volumeMounts"] = [mount]
    listen = [("HOST", "0.0.0.0"), ("MLSERVER_HOST", "$(HOST)"), ("MLSERVER_HTTP_PORT", "$(PORT)")]  # noqa: S104
    container["env"] = [directory, *({"name": name, "value": value} for name, value in listen)]
    return {
        "spec": {
            "initContainers": [init],
            "containers": [container],
            "volumes": [{"name": "models", "emptyDir": {}}],
            **copy.deepcopy(_POD),
        }
    }


def _listen(container: dict[str, Any]) -> None:
    """Make sure that the container has a port named http, and finds its number in $PORT."""
    ports = container.setdefault("ports", [])
    named = next((port for port in ports if port.get("name") == "http"), None)
    if named is None:
        named = {"name": "http", "containerPort": PORT}
        ports.append(named)
    env = container.setdefault("env", [])
    if not any(entry["name"] == "PORT" for entry in env):
        env.insert(0, {"name": "PORT", "value": str(named["containerPort"])})


def _label(text: str) -> str:
    """Return a text as a label value: at most 63 letters, digits, dots, dashes."""
    kept = "".join(sign if (sign.isalnum() and sign.isascii()) or sign in "._-" else "-" for sign in text)[:63]
    return kept.strip("._-") or "model"
