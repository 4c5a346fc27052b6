"""The objects that a new local home begins with: its namespace, the pool `local`, and the source of manifests.

Called by the supervisor once the API server answers. What exists is brought to the same state; nothing is removed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelops.adapters.cluster import KubeClient
from modelops.api.kinds import COMPUTEPOOL, GITSOURCE, NAMESPACE
from modelops.errors import ModelopsError, Stalled
from modelops.localhome.home import Home

_NAMESPACE: Final = "default"
_INTERVAL: Final = "2s"


@dataclass(frozen=True, slots=True)
class Source:
    """Which repository to sync."""

    name: str
    url: str
    branch: str
    path: str


def source(repo: str, branch: str, path: str) -> Source:
    """Return the source that --repo names: an address, or a directory on this machine.

    Raises:
        Stalled: it is neither.
    """
    url = repo
    if "://" not in repo:
        directory = Path(repo).expanduser().resolve()
        if not directory.is_dir():
            raise Stalled("NoRepository", f"--repo {repo}: neither an address nor a directory")
        url = directory.as_uri()
    last = url.rstrip("/").rpartition("/")[2].removesuffix(".git").lower()
    name = re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:50] or "source"
    return Source(name, url, branch, path)


def make(home: Home, wanted: Source | None, say: Callable[[str], None]) -> bool:
    """Apply the first objects; return whether that is done. What fails is said and tried again later."""
    try:
        client = KubeClient.from_kubeconfig(str(home.kubeconfig), context="local")
        client.apply(NAMESPACE, {"metadata": {"name": _NAMESPACE}})
        client.apply(COMPUTEPOOL.resource, {"metadata": {"name": "local"}, "spec": {}})
        if wanted is not None:
            client.apply(
                GITSOURCE.resource,
                {
                    "metadata": {"name": wanted.name, "namespace": _NAMESPACE},
                    "spec": {
                        "url": wanted.url,
                        "ref": {"branch": wanted.branch},
                        "path": wanted.path,
                        "interval": _INTERVAL,
                    },
                },
            )
            say(f"syncs {wanted.url} branch {wanted.branch} path {wanted.path} as GitSource {wanted.name}")
    except ModelopsError as error:
        say(f"first objects: {error.message}")
        return False
    return True
