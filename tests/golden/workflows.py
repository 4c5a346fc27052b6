"""The Workflows as they are rendered for known inputs, written to workflows/: `python -m tests.golden.workflows`.

They are what people read to see what runs, what Argo's own linter is held against, and what a change shows in review.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from modelops.api.v1alpha1.computepool import ComputePoolSpec
from modelops.workflows.render import Owner, Runtime, prepare_workflow, training_workflow

ROOT = Path(__file__).parents[2] / "workflows"
_IMAGE, _MLFLOW = "modelops-trainer:0.1.0", "http://mlflow.modelops-system.svc:5000"
_POOL = ComputePoolSpec.model_validate(
    {
        "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "resourceName": "nvidia.com/gpu",
        "runtimeClassName": "nvidia",
        "priorityClassName": "training",
        "queueName": "pricing",
    }
)


def rendered() -> dict[str, dict[str, Any]]:
    """Return file name → Workflow."""
    dataset = Owner("modelops.dev/v1alpha1", "Dataset", "listings", "pricing", "6f1a0f8e-0000-4000-8000-000000000001")
    run = Owner("modelops.dev/v1alpha1", "TrainingRun", "price", "pricing", "6f1a0f8e-0000-4000-8000-000000000002")
    step: dict[str, Any] = {
        "apiVersion": "modelops.dev/v1alpha1",
        "namespace": "pricing",
        "name": "listings",
        "attempt": "1a2b3c4d",
        "inputsHash": "sha256:" + "0" * 64,
    }
    cpu = Runtime(_IMAGE, _MLFLOW, timeout=timedelta(minutes=10), retries=2)
    gpu = Runtime(_IMAGE, _MLFLOW, "modelops-workflow", timedelta(hours=2), 2, 1, _POOL, "modelops-registry")
    digest = "sha256:" + "0" * 64
    image = f"registry.example.com/pricing/trainer@{digest}"
    trainer = {"image": image, "command": ["python", "-m", "pricing.train", "{{not a tag}}"]}
    return {
        "prepare.yaml": prepare_workflow(
            dataset, "ds-listings-1a2b3c4d", "1a2b3c4d", digest, step, cpu, "git-credentials"
        ),
        "train-cpu.yaml": training_workflow(
            run, "tr-price-1a2b3c4d", "1a2b3c4d", digest, {**step, "name": "price"}, cpu
        ),
        "train-gpu.yaml": training_workflow(
            run, "tr-price-5e6f7a8b", "5e6f7a8b", digest, {**step, "name": "price"}, gpu
        ),
        "train-own.yaml": training_workflow(
            run,
            "tr-price-9c0d1e2f",
            "9c0d1e2f",
            digest,
            {**step, "name": "price", "code": {"path": "train.py", "digest": digest}},
            gpu,
            "git-credentials",
            own=True,
        ),
        "train-image.yaml": training_workflow(
            run,
            "tr-price-3a4b5c6d",
            "3a4b5c6d",
            digest,
            {**step, "name": "price", "run": {"trainer": trainer}},
            replace(gpu, code_image=image),
            own=True,
        ),
        "train-template.yaml": training_workflow(
            run,
            "tr-price-7e8f9a0b",
            "7e8f9a0b",
            digest,
            {**step, "name": "price", "run": {"trainer": {"workflowTemplate": {"name": "boosted"}}}},
            replace(gpu, code_template=("boosted", "train")),
            own=True,
        ),
    }


def text_of(workflow: dict[str, Any]) -> str:
    """Return a Workflow as YAML, as it is committed."""
    note = "# Rendered by modelops for known inputs; written by `make generate`, never edited by hand.\n"
    return note + yaml.safe_dump(workflow, sort_keys=False, width=110)


if __name__ == "__main__":
    ROOT.mkdir(exist_ok=True)
    for name, workflow in rendered().items():
        (ROOT / name).write_text(text_of(workflow), encoding="utf-8")
