"""The artifact digest: one hash of what a model does, not of its names or times.

Called by the train step, which computes it, and by whoever verifies a served model. It must not depend on how a
file happens to be written: JSON is canonical, tensors are hashed by content.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def canonical_json(document: Any) -> bytes:
    """Return UTF-8 JSON with sorted keys and no spaces; equal documents give equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def artifact_digest(preparation: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """Return `sha256:` over canonical preparation and every tensor's name, dtype, shape and bytes, sorted by name."""
    digest = hashlib.sha256(canonical_json(preparation))
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        header = canonical_json({"name": name, "dtype": str(tensor.dtype), "shape": list(tensor.shape)})
        digest.update(header + b"\n" + tensor.tobytes())
    return f"sha256:{digest.hexdigest()}"
