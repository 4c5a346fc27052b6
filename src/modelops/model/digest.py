"""The artifact digest: one hash of what a model does, not of its names or times.

Called by the train step, which computes it, and by whoever verifies a served model. It must not depend on how a
file happens to be written: JSON is canonical, tensors are hashed by content.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import yaml

_ADDED: Final = frozenset({"registered_model_meta"})
_NAMES_AND_TIMES: Final = frozenset(
    {"utc_time_created", "model_uuid", "model_id", "run_id", "artifact_path", "model_size_bytes", "prompts"}
)


def canonical_json(document: Any) -> bytes:
    """Return UTF-8 JSON with sorted keys and no spaces; equal documents give equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def directory_digest(files: Mapping[str, bytes]) -> str:
    """Return `sha256:` over a model's files, path → bytes: what it does, not when and under which id it was saved.

    MLmodel counts without its times and ids; what MLflow adds to a download does not count.
    """
    digest = hashlib.sha256()
    for path in sorted(files):
        if path in _ADDED:
            continue
        content = files[path]
        if path == "MLmodel":
            content = canonical_json(_described(yaml.safe_load(content)))
        digest.update(canonical_json({"path": path, "sha256": hashlib.sha256(content).hexdigest()}) + b"\n")
    return f"sha256:{digest.hexdigest()}"


def _described(mlmodel: Mapping[str, Any]) -> dict[str, Any]:
    """Return an MLmodel without ids, times, and the places where its artifacts lay when it was saved."""
    kept = {key: value for key, value in mlmodel.items() if key not in _NAMES_AND_TIMES}
    flavors = {name: dict(flavor) for name, flavor in (kept.get("flavors") or {}).items()}
    for flavor in flavors.values():
        # The whole path of the script that defined the model; its content lies beside MLmodel and counts.
        flavor.pop("model_code_path", None)
        artifacts = flavor.get("artifacts")
        if isinstance(artifacts, Mapping):
            flavor["artifacts"] = {
                name: {key: value for key, value in entry.items() if key != "uri"}
                if isinstance(entry, Mapping)
                else entry
                for name, entry in artifacts.items()
            }
    return kept | {"flavors": flavors}


def artifact_digest(preparation: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """Return `sha256:` over canonical preparation and every tensor's name, dtype, shape and bytes, sorted by name."""
    digest = hashlib.sha256(canonical_json(preparation))
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        header = canonical_json({"name": name, "dtype": str(tensor.dtype), "shape": list(tensor.shape)})
        digest.update(header + b"\n" + tensor.tobytes())
    return f"sha256:{digest.hexdigest()}"
