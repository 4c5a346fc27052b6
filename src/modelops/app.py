"""The operator's composition root: reads the configuration, builds everything once, runs until told to stop.

`python -m modelops.app` and operator/main.py end up here. Nothing else sees both adapters and reconcilers.
"""

import asyncio
import contextlib
import functools
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import kopf
from prometheus_client import CollectorRegistry

from modelops import config as configuration
from modelops.adapters.cached_cluster import CachedCluster
from modelops.adapters.clock import SystemClock
from modelops.adapters.cluster import KubeClient
from modelops.adapters.fence import Fence
from modelops.adapters.git import GitMirrors
from modelops.adapters.lease import LeaseClient
from modelops.adapters.mlflow import MlflowRegistry
from modelops.adapters.mlflow_login import Login
from modelops.adapters.prometheus import Prometheus
from modelops.api.kinds import KINDS, Kind
from modelops.domain.leadership import Timing
from modelops.errors import ModelopsError
from modelops.reconcile.bundle import Ports, Settings
from modelops.reconcile.computepool import ComputePoolReconciler
from modelops.reconcile.dataset import DatasetReconciler
from modelops.reconcile.gitsource import GitSourceReconciler
from modelops.reconcile.loop import Key, Loop, Outcome
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from modelops.reconcile.trainingrun import TrainingRunReconciler
from modelops.shell.election import Election
from modelops.shell.health import Health, serve_health, serve_metrics
from modelops.shell.registry import CHILD_LABELS, CHILDREN, build_registry, watched
from modelops.shell.workers import Workers
from modelops.telemetry import logging as logs
from modelops.telemetry.metrics import OperatorMetrics

EXIT_LOST: Final = 3
"""The Lease was lost: whoever restarts the process gets one that stands by."""
_RELIST_SECONDS: Final = 600.0
_log = logging.getLogger(__name__)


def settings_of(config: configuration.Config) -> Settings:
    """Return the part of the configuration that decisions depend on."""
    return Settings(
        mlflow_tracking_uri=config.mlflow_tracking_uri,
        mlflow_public_url=config.mlflow_public_url or config.mlflow_tracking_uri,
        trainer_image=config.trainer_image,
        server_image=config.server_image,
        mlserver_image=config.mlserver_image,
        gateway_name=config.gateway_name,
        gateway_namespace=config.gateway_namespace,
        gateway_figures=config.gateway_figures,
        pool_fallback=config.pool_fallback,
        workflow_service_account=config.workflow_service_account,
        registry_secret=config.registry_secret,
        default_service_account=config.default_service_account,
    )


def login_of(config: configuration.Config) -> Login:
    """Return the operator's own login to MLflow."""
    return Login(
        config.mlflow_tracking_username,
        config.mlflow_tracking_password.get_secret_value(),
        config.mlflow_tracking_token.get_secret_value(),
    )


def build_ports(config: configuration.Config, cluster: CachedCluster, fence: Fence | None = None) -> Ports:
    """Return every port with its real adapter."""
    return Ports(
        cluster=cluster,
        git=GitMirrors(config.git_cache_dir, config.allowed_git_schemes),
        registry=MlflowRegistry(config.mlflow_tracking_uri, login=login_of(config), fence=fence),
        metrics=Prometheus(config.prometheus_url),
        clock=SystemClock(),
        settings=settings_of(config),
    )


def build_loops(ports: Ports) -> dict[str, Loop[Any]]:
    """Return one loop per kind, by the kind's name."""
    reconcilers: tuple[Any, ...] = (
        GitSourceReconciler(),
        DatasetReconciler(),
        TrainingRunReconciler(),
        ModelReleaseReconciler(),
        ComputePoolReconciler(),
    )
    return {reconciler.kind.resource.kind: Loop(reconciler, ports) for reconciler in reconcilers}


class Operator:
    """One running operator: watches and caches at once, works once it leads.

    Args:
        config: the configuration.
        client: the API server.
        fence: passed by every write; None where there is nobody to be elected against.
    """

    def __init__(self, config: configuration.Config, client: KubeClient, fence: Fence | None = None) -> None:
        self._config = config
        self._cluster = CachedCluster(client, watched())
        self._metrics = OperatorMetrics(CollectorRegistry())
        self._health = Health()
        loops = build_loops(build_ports(config, self._cluster, fence))
        self._workers = Workers(loops, on_outcome=self._on_outcome, on_gone=self._metrics.gone, paused=True)

    async def run(self, elect: Callable[[Callable[[], object]], Election] | None = None) -> None:
        """Run until SIGTERM or SIGINT.

        Args:
            elect: makes the election, given what it is to call once it is won; by default there is none.
        """
        stopping, ending, elected = asyncio.Event(), asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        _heed_signals(stopping)
        config = self._config
        runners = [
            await serve_health(self._health, config.listen, config.health_port),
            await serve_metrics(self._metrics.registry, config.listen, config.metrics_port),
        ]
        election = None
        if elect is None:
            elected.set()
        else:
            election = elect(functools.partial(loop.call_soon_threadsafe, elected.set))
            election.start()
        watching = asyncio.create_task(self._watch(ending, stopping))
        working = asyncio.create_task(self._work(elected))
        done, _ = await asyncio.wait(
            {watching, working, asyncio.create_task(stopping.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        if not stopping.is_set():
            self._health.failed("a watcher ended by itself")
            for task in done:
                _log.error("ended by itself: %s", task.exception() if not task.cancelled() else "cancelled")
        working.cancel()
        await self._workers.stop()
        if election is not None:
            # Before anything else that takes time: a successor waits for this.
            await asyncio.to_thread(election.resign)
        ending.set()
        with contextlib.suppress(asyncio.CancelledError, TimeoutError):
            await asyncio.wait_for(watching, 10)
        for runner in runners:
            await runner.cleanup()

    async def _work(self, elected: asyncio.Event) -> None:
        """Keep the caches right by listing, now and then; once elected, list first and then work.

        What was cached while standing by may be as old as a watch that died unnoticed; a leader begins with what is.
        """
        while True:
            leads = elected.is_set()
            try:
                await asyncio.to_thread(self._prime)
            except ModelopsError as error:
                _log.warning("relist: %s", error)
                await asyncio.sleep(2)
                continue
            self._health.primed()
            if leads:
                self._metrics.leads()
                self._workers.start()
                self._wake_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RELIST_SECONDS):
                    await (asyncio.Event() if leads else elected).wait()

    def _wake_all(self) -> None:
        for kind in KINDS:
            for obj in self._cluster.cached(kind.resource):
                self._workers.wake(kind, (obj["metadata"].get("namespace"), obj["metadata"]["name"]))

    async def _watch(self, ending: asyncio.Event, stopping: asyncio.Event) -> None:
        namespaces = {"namespaces": [self._config.namespace]} if self._config.namespace else {"clusterwide": True}
        registry = build_registry(self._cluster, self._workers)

        @kopf.on.startup(registry=registry, id="signals")
        def take_back(**_: Any) -> None:
            # kopf has taken the signals for itself; it would stop watching first, and slowly, while a successor waits.
            loop.call_soon_threadsafe(_heed_signals, stopping)

        loop = asyncio.get_running_loop()
        await kopf.operator(
            registry=registry,
            settings=kopf.OperatorSettings(),
            standalone=True,
            stop_flag=ending,
            **namespaces,
        )

    def _prime(self) -> None:
        for kind in KINDS:
            self._cluster.prime(kind.resource, self._config.namespace if kind.resource.namespaced else None, None)
        for child in CHILDREN:
            self._cluster.prime(child, self._config.namespace, CHILD_LABELS)

    def _on_outcome(self, kind: Kind, key: Key, outcome: Outcome, seconds: float) -> None:
        self._metrics.reconciled(kind, outcome, seconds)
        held = self._cluster.held(kind.resource, *key)
        if held is not None:
            self._metrics.observed(kind, held)


def _heed_signals(stopping: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)


def identity(config: configuration.Config) -> str:
    """Return who this process is, unlike any other that ever was."""
    return f"{config.pod_name or socket.gethostname()}_{secrets.token_hex(4)}"


def ends_the_process() -> Callable[[str], None]:
    """Return a function that ends the process at once, whatever its threads are doing, and says why in one line."""
    once = threading.Lock()

    def end(why: str) -> None:
        # Never released: a second thread that gets here waits until the process is gone.
        once.acquire()
        _log.error("leadership lost: %s; this process ends, whoever starts it again gets one that stands by", why)
        os._exit(EXIT_LOST)

    return end


def operate(config: configuration.Config) -> None:
    """Run the operator that a configuration describes, until it is told to stop.

    Raises:
        Stalled: there is no usable kubeconfig.
    """
    if not config.leader_election:
        asyncio.run(Operator(config, KubeClient.from_kubeconfig()).run())
        return
    me, end = identity(config), ends_the_process()
    timing = Timing(config.lease_seconds, config.lease_renew_seconds, config.lease_retry_seconds)
    fence = Fence(lambda: end("a write came after the Lease had run out"))
    agent = f"modelops/{me}"
    client = KubeClient.from_kubeconfig(agent=agent, fence=fence)
    lease = LeaseClient.connect(config.lease_namespace, config.lease_name, timing=timing, agent=agent)

    def elect(on_elected: Callable[[], object]) -> Election:
        return Election(lease, me, timing, fence, on_elected=on_elected, on_lost=end)

    asyncio.run(Operator(config, client, fence).run(elect))


def main() -> int:
    """Run the operator; a bad configuration is one line on stderr and exit code 2."""
    try:
        config = configuration.load(os.environ)
        logs.configure(config.log_format)
        _log.info("configuration: %s", configuration.describe(config))
        operate(config)
    except ModelopsError as error:
        sys.stderr.write(f"modelops: {error.message}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
