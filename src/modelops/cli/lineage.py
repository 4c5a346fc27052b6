"""`modelops lineage RELEASE`: traffic → version → run → workflow → data → commit, each with how to check it."""

import json
from typing import Any

import click

from modelops.api.kinds import DATASET, GITSOURCE, MODELRELEASE, TRAININGRUN
from modelops.api.labels import GITSOURCE as GITSOURCE_LABEL
from modelops.cli.target import Target, name_argument, object_named, target_options
from modelops.errors import Stalled


@click.command()
@name_argument("release", kind="modelreleases")
@click.option("-o", "--output", type=click.Choice(["json"]), default=None, help="Output format.")
@target_options
def lineage(target: Target, release: str, output: str | None) -> None:
    """Trace what RELEASE serves back to the commit it was made of."""
    found = object_named(target, MODELRELEASE, release)
    status = found.get("status", {})
    traced = status.get("lineage")
    if not traced:
        raise Stalled(
            "NothingServes", f"ModelRelease {release} serves nothing yet; see: modelops describe mr {release}"
        )
    if output == "json":
        click.echo(json.dumps(traced, indent=2))
        return
    for line in _lines(target, found, traced):
        click.echo(line)


def _lines(target: Target, release: dict[str, Any], traced: dict[str, str]) -> list[str]:
    status, model = release["status"], release["spec"]["model"]["name"]
    share = 100 - int(status.get("weight", 0))
    path, repository = _data_file(target, release)
    version, run = traced.get("version", ""), traced.get("runId", "")
    shown = f"git show {traced.get('commit', '')}" + (f"  # in {repository}" if repository else "")
    links = [
        (
            "traffic",
            f"{share} % → revision {status['stable']['revision']} since {status['stable'].get('since', '')}",
            f"kubectl get httproute {release['metadata']['name']} -o yaml",
        ),
        ("version", f"{model} {version}", f"mlflow: models:/{model}/{version}"),
        ("artifact", traced.get("artifactDigest", ""), "tag modelops.artifactDigest of that version"),
        ("run", run, f"mlflow runs describe --run-id {run}" if run else ""),
        ("workflow", traced.get("workflowUid", ""), "tag modelops.workflowUid of that run"),
        (
            "data",
            traced.get("contentDigest", ""),
            f"git show {traced.get('datasetCommit', '')}:{path} | sha256sum" if path else "",
        ),
        ("contract", traced.get("datasetDigest", ""), "tag modelops.datasetDigest of that run"),
        ("code", traced.get("codeDigest", ""), "tag modelops.codeDigest of that run"),
        ("data commit", traced.get("datasetCommit", ""), ""),
        ("commit", traced.get("commit", ""), shown),
    ]  # fmt: skip
    width = max(len(name) for name, _, _ in links)
    lines = []
    for name, value, check in links:
        if value.strip():
            lines.append(f"{name.ljust(width)}  {value}")
            if check:
                lines.append(f"{''.ljust(width)}    check: {check}")
    return lines


def _data_file(target: Target, release: dict[str, Any]) -> tuple[str, str]:
    """Return the path of the data file and the address of its repository, as far as the objects still tell."""
    namespace = release["metadata"]["namespace"]
    name = (release["spec"]["model"].get("from") or {}).get("trainingRun")
    run = target.client.get(TRAININGRUN.resource, namespace, name) if name else None
    dataset = target.client.get(DATASET.resource, namespace, run["spec"]["datasetRef"]["name"]) if run else None
    if dataset is None:
        return "", ""
    source = dataset["metadata"].get("labels", {}).get(GITSOURCE_LABEL)
    repository = target.client.get(GITSOURCE.resource, namespace, source) if source else None
    return dataset["spec"]["source"]["git"]["path"], repository["spec"]["url"] if repository else ""
