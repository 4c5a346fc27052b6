"""Our chart, installed with Helm as anybody would, and our images, brought to the nodes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import yaml

from modelops.api.kinds import HTTPROUTE, NAMESPACE
from tests.e2e.cluster.choice import Cluster
from tests.e2e.surroundings import built
from tests.support.helm import helm
from tests.support.operators import CRD, open_crd, served, until

CHART: Final = Path(__file__).parents[3] / "charts" / "modelops"
SYSTEM: Final = "modelops-system"
NAME: Final = "modelops"
_PATIENCE: Final = "180s"


def install(cluster: Cluster, tenants: Iterable[str], **more: object) -> None:
    """Bring the images, make the tenants' namespaces, and install the chart or upgrade what is installed.

    Args:
        cluster: where.
        tenants: namespaces that stories may use.
        more: values of the chart besides.
    """
    client = cluster.client()
    keys = _bring_images(cluster)
    for name in (SYSTEM, *tenants):
        client.apply(NAMESPACE, {"metadata": {"name": name}})
    if not served(client, HTTPROUTE):
        # Without a gateway: releases keep their route, and nobody reads it.
        client.apply(CRD, open_crd(HTTPROUTE))
        until(lambda: served(client, HTTPROUTE), 30, "HTTPRoutes are served", 0.1)
    values = cluster.place.root / "values.yaml"
    # Under the same tag a kept cluster would go on with the operator of the images before.
    annotations = {"modelops.test/images": " ".join(keys)}
    values.write_text(yaml.safe_dump(_values(cluster, tenants) | {"podAnnotations": annotations} | more))
    flags = ("--namespace", SYSTEM, "--values", str(values), "--wait", "--timeout", _PATIENCE)
    helm("upgrade", "--install", NAME, str(CHART), *flags, kubeconfig=cluster.kubeconfig)


def _bring_images(cluster: Cluster) -> list[str]:
    """Bring what images there are to the nodes, unless these very ones were brought; return which they are."""
    if cluster.load is None:
        return []
    parts = [*built.PARTS, *([built.TRAINER] if built.missing(built.TRAINER) is None else [])]
    keys = []
    for archive in (built.archive(part, cluster.place.root / "images") for part in parts):
        keys.append(f"{archive.stem}-{archive.stat().st_mtime_ns}")
        brought = cluster.place.root / "brought" / keys[-1]
        if not brought.exists():
            cluster.load(archive)
            brought.parent.mkdir(exist_ok=True)
            brought.touch()
    return keys


def _values(cluster: Cluster, tenants: Iterable[str]) -> dict[str, object]:
    return {
        "images": {"registry": built.registry(), "tag": built.version()},
        "git": {"allowedSchemes": ["http"]},
        "mlflow": {"publicUrl": f"http://{cluster.host}:5000"},
        "tenants": [{"namespace": name} for name in tenants],
        # Short, so that a story of fail-over is.
        "leaderElection": {"leaseSeconds": 6, "renewSeconds": 4, "retrySeconds": 1},
    }
