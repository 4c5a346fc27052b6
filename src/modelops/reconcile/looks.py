"""Takes a look at a canary: asks the metrics that are due, and how the requests were split, all at once.

Prometheus is asked for them; of answers to the same requests, the servers themselves are.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import Any, Final

from modelops.api.v1alpha1.analysis import Metric
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.api.v1alpha1.modelrelease_status import ModelReleaseStatus
from modelops.domain.analysis.flavours import SERVER
from modelops.domain.analysis.queries import Subject
from modelops.domain.analysis.split import Requests
from modelops.domain.analysis.verdicts import Reading, is_paired
from modelops.domain.release import believing
from modelops.domain.release.looks import counts_from, due, interval_of, window_start
from modelops.domain.release.objects import ready_servers
from modelops.domain.release.placing import is_used
from modelops.domain.release.revision import answers_key
from modelops.domain.release.routing import gets_copies
from modelops.domain.release.strategies import resolved
from modelops.reconcile.addresses import Objects, addresses_of
from modelops.reconcile.bundle import Ports
from modelops.reconcile.pairing import Side, read_pairs
from modelops.reconcile.readings import count_requests, read_metric
from modelops.workflows.render import Owner

_PARALLEL: Final = 16


class Looks:
    """The looks of all releases, on the same few threads; whoever waits for an answer waits for so long at most.

    Args:
        deadline: of all the metrics of one look. Seconds.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._asking = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="metrics")

    def taken(
        self,
        spec: ModelReleaseSpec,
        status: ModelReleaseStatus,
        owner: Owner,
        services: Objects,
        deployments: Objects,
        ports: Ports,
        now: datetime,
    ) -> tuple[dict[str, Reading], Requests | None]:
        """Ask the metrics that are due, at once; each is an answer or an Error by itself.

        And what the gateway counted of both revisions; None where it is not time to ask.
        """
        spec = resolved(spec)
        start, metrics = window_start(status, spec.analysis), due(status, spec.analysis, now)
        counted = believing.counts_from(spec, status, now)
        if start is None or status.canary is None or not (metrics or counted):
            return {}, None
        release = (owner.namespace, owner.name)
        gateway = SERVER if is_used(spec) else ports.settings.gateway_figures
        serves = status.stable
        canary = Subject(*release, status.canary.revision, gateway, gets_copies(status), status.canary.version)
        stable = None if serves is None else Subject(*release, serves.revision, gateway, version=serves.version)

        def side(subject: Subject) -> Side:
            name = subject.service
            return Side(addresses_of(name, services, deployments, ports), ready_servers(deployments.get(name) or {}))

        def read(metric: Metric) -> Reading:
            if is_paired(metric) and stable is not None:
                return read_pairs(metric, side(canary), side(stable), answers_key(owner.uid), ports)
            interval = interval_of(metric, spec.analysis)
            step = max(now - start, interval)
            since = counts_from(status, spec.analysis, metric)
            began = status.analysis_started_at
            return read_metric(
                metric,
                canary,
                ports,
                stable=stable,
                interval=interval,
                step=step,
                now=now,
                since=since,
                began=began,
            )

        asked = {metric.name: self._asking.submit(read, metric) for metric in metrics}
        futures: list[Future[Any]] = [*asked.values()]
        if counted is None or stable is None:
            wait(futures, self._deadline)
            return self._readings(asked), None
        counting = self._asking.submit(count_requests, canary, stable, ports, counted, now)
        wait([*futures, counting], self._deadline)
        return self._readings(asked), counting.result() if counting.done() else Requests(counted, counted)

    def _readings(self, asked: Mapping[str, Future[Reading]]) -> dict[str, Reading]:
        return {name: self._answer(future) for name, future in asked.items()}

    def _answer(self, future: Future[Reading]) -> Reading:
        if future.done():
            return future.result()
        # One that has not begun never will; one that hangs ends with its own deadline, and nobody waits for it.
        future.cancel()
        return Reading("", error=f"the metrics did not answer within {self._deadline:g} s")
