"""`modelops strip-finalizers`: take our finalizers off, so that nothing hangs once the operator is gone.

Called by the chart's Job before an uninstall; hidden, because people have no other use for it. It never deletes
anything, and touches no finalizer of anybody else's.
"""

from collections.abc import Iterator, Mapping

import click

from modelops.adapters.cluster import KubeClient
from modelops.adapters.finalizers import take_off
from modelops.api.kinds import DEPLOYMENT, KINDS, WORKFLOW, Resource
from modelops.api.labels import MANAGED_BY, MANAGER, finalizers_of
from modelops.cli.target import Target, target_options
from modelops.cli.waiting import TIMED_OUT, Duration, poll


@click.command(hidden=True)
@click.option("-A", "--all-namespaces", is_flag=True, help="Everywhere, and off ComputePools too.")
@click.option("--stop", metavar="NAMESPACE/NAME", help="Scale this Deployment, the operator's, to 0 before.")
@click.option("--timeout", type=Duration(), default="2m", show_default=True, help="How long it may take to stop.")
@target_options
def strip_finalizers(target: Target, stop: str | None, timeout: float, *, all_namespaces: bool) -> None:
    """Take modelops.dev finalizers off our kinds and off the Workflows that the operator made."""
    if stop is not None:
        _stop(target.client, stop, timeout)
    namespace = None if all_namespaces else target.namespace
    taken = 0
    for resource, labels in _places(everywhere=all_namespaces):
        for obj in target.client.list(resource, namespace, labels):
            if take_off(target.client, resource, obj) is None:
                continue
            for name in finalizers_of(obj):
                meta = obj["metadata"]
                where = f"{meta['namespace']}/{meta['name']}" if resource.namespaced else meta["name"]
                click.echo(f"{resource.kind} {where}: {name} taken off")
                taken += 1
    click.echo(f"{taken} finalizers taken off")


def _places(*, everywhere: bool) -> Iterator[tuple[Resource, Mapping[str, str] | None]]:
    """Yield what may carry our finalizers, with the labels to look for."""
    for kind in KINDS:
        if kind.resource.namespaced or everywhere:
            yield kind.resource, None
    yield WORKFLOW, {MANAGED_BY: MANAGER}


def _stop(client: KubeClient, named: str, timeout: float) -> None:
    namespace, slash, name = named.partition("/")
    if not (namespace and slash and name):
        raise click.UsageError(f"--stop {named}: write it as NAMESPACE/NAME of a Deployment")
    if client.get(DEPLOYMENT, namespace, name) is None:
        click.echo(f"Deployment {named} does not exist")
        return
    scaled = client.merge_patch(DEPLOYMENT, namespace, name, {"spec": {"replicas": 0}})
    generation = int(scaled["metadata"].get("generation", 0))

    def stopped() -> bool | None:
        found = client.get(DEPLOYMENT, namespace, name)
        status = (found or {}).get("status") or {}
        seen = int(status.get("observedGeneration", 0)) >= generation
        return True if found is None or (seen and not status.get("replicas")) else None

    if poll(stopped, timeout) is None:
        click.echo(
            f"modelops: Deployment {named} still has pods after {timeout:g} s, and they would put finalizers back;"
            f" see: kubectl -n {namespace} describe deployment {name}",
            err=True,
        )
        raise click.exceptions.Exit(TIMED_OUT)
    click.echo(f"Deployment {named} stopped")
