"""Envoy's start-up configuration: one listener; clusters, endpoints and routes from files that are renamed into place.

Written by the supervisor before Envoy starts; the files it names belong to the gateway controller from then on.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

LISTENER: Final = "gateway"
"""Stat prefix of the listener's HTTP connection manager."""
ROUTES: Final = "local"
"""Name of the route configuration."""
CLUSTER_TYPE: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINTS_TYPE: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
ROUTE_TYPE: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
_MANAGER_TYPE: Final = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
BUCKETS_MS: Final = (
    *(1, 2, 5, 10, 20, 25, 30, 40, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750),
    *(1000, 1500, 2000, 3000, 5000, 10000, 30000, 60000),
)
"""Bounds of the latency histograms, in milliseconds. Envoy's own cannot tell 30 from 36."""


def clusters_file(directory: Path) -> Path:
    """Return where the clusters lie; alone in its directory, which Envoy watches."""
    return directory / "clusters" / "clusters.json"


def endpoints_file(directory: Path, cluster: str) -> Path:
    """Return where the endpoints of a cluster lie."""
    return directory / "endpoints" / f"{cluster}.json"


def routes_file(directory: Path) -> Path:
    """Return where the routes lie; alone in its directory, which Envoy watches."""
    return directory / "routes" / "routes.json"


def _watched(path: Path) -> dict[str, Any]:
    return {
        "path_config_source": {"path": str(path), "watched_directory": {"path": str(path.parent)}},
        "resource_api_version": "V3",
    }


def _loopback(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def bootstrap(directory: Path, *, gateway_port: int, admin_port: int) -> dict[str, Any]:
    """Return the bootstrap document. Pure."""
    manager = {
        "@type": _MANAGER_TYPE,
        "stat_prefix": LISTENER,
        "strip_any_host_port": True,
        "rds": {"route_config_name": ROUTES, "config_source": _watched(routes_file(directory))},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "name": LISTENER,
        "address": _loopback(gateway_port),
        # Two Envoys on one port would share its connections without a word.
        "enable_reuse_port": False,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {
        "node": {"id": "local", "cluster": "local"},
        "admin": {"address": _loopback(admin_port)},
        "dynamic_resources": {"cds_config": _watched(clusters_file(directory))},
        "static_resources": {"listeners": [listener]},
        # Histograms are merged at each flush; 5 s, the default, would make them lag behind the counters.
        "stats_flush_interval": "0.5s",
        "stats_config": {
            "histogram_bucket_settings": [{"match": {"prefix": "cluster."}, "buckets": [float(b) for b in BUCKETS_MS]}]
        },
    }


def with_endpoints(directory: Path, cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cluster whose endpoints are read from their file.

    They are no part of it because a cluster that is told anew loses its counters of answers.
    """
    path = {"path": str(endpoints_file(directory, cluster["name"]))}
    source = {"path_config_source": path, "resource_api_version": "V3"}
    return {**cluster, "type": "EDS", "eds_cluster_config": {"eds_config": source}}


def discovery(type_url: str, version: str, resources: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a file of resources as Envoy reads it."""
    return {
        "version_info": version,
        "type_url": type_url,
        "resources": [{"@type": type_url, **resource} for resource in resources],
    }


def put(path: Path, document: Mapping[str, Any]) -> None:
    """Rename a document into place: Envoy sees the old one or the new one, never half of one."""
    # Beside the watched directory, so that Envoy sees one event, the rename.
    fresh = path.parent.parent / f"{path.name}.new"
    fresh.write_text(json.dumps(document, indent=1, sort_keys=True), encoding="utf-8")
    fresh.replace(path)


def write(directory: Path, *, gateway_port: int, admin_port: int) -> None:
    """Write the bootstrap, and empty clusters and routes where there are none yet."""
    for path in (clusters_file(directory), endpoints_file(directory, "any"), routes_file(directory)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not clusters_file(directory).exists():
        put(clusters_file(directory), discovery(CLUSTER_TYPE, "empty", []))
    if not routes_file(directory).exists():
        put(routes_file(directory), discovery(ROUTE_TYPE, "empty", [{"name": ROUTES, "virtual_hosts": []}]))
    document = bootstrap(directory, gateway_port=gateway_port, admin_port=admin_port)
    (directory / "bootstrap.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
