"""The release of tiny servers that tests on a local home make: registered versions, and a spec that is judged soon."""

import sys
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

HOST = "tiny.example.com"
_SERVER = Path(__file__).with_name("tiny_server.py")


def register(registry: MlflowClient, count: int) -> None:
    """Register versions 1 to count of the model tiny, each another one."""
    registry.create_registered_model("tiny")
    run = registry.create_run("0")
    for number in range(1, count + 1):
        tags = {"modelops.artifactDigest": f"sha256:{number:064d}"}
        registry.create_model_version("tiny", f"{run.info.artifact_uri}/model", run.info.run_id, tags=tags)


def release(version: str, *, bad: str) -> dict[str, Any]:
    """Return the spec of a release that goes to 50 % for three seconds.

    Args:
        version: that is wanted.
        bad: versions that only fail, see tiny_server.
    """
    container = {
        "name": "server",
        "image": "tiny",
        "command": [sys.executable, str(_SERVER)],
        "env": [{"name": "BAD", "value": bad}],
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": "http"}, "periodSeconds": 1},
    }
    metric = {"name": "success-rate", "builtin": "success-rate", "thresholdRange": {"min": 0.95}, "minSamples": 5}
    return {
        "model": {"name": "tiny", "version": version},
        "serving": {"runtime": "custom", "podTemplate": {"spec": {"containers": [container]}}},
        "traffic": {"hostnames": [HOST], "timeout": "3s"},
        "strategy": {"canary": {"steps": [{"setWeight": 50}, {"analyze": {"duration": "3s"}}]}},
        "analysis": {"interval": "1s", "warmUp": "1s", "metrics": [metric]},
    }
