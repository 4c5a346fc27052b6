"""The operator's composition root: reads the configuration, builds everything once, runs until told to stop.

`python -m modelops.app` and operator/main.py end up here. Nothing else sees both adapters and reconcilers.
"""

import asyncio
import contextlib
import functools
import gc
import logging
import os
import secrets
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import kopf
from prometheus_client import CollectorRegistry

from modelops import config as configuration
from modelops.adapters.cached_cluster import CachedCluster
from modelops.adapters.clock import SystemClock
from modelops.adapters.cluster import KubeClient
from modelops.adapters.fence import Fence
from modelops.adapters.git import GitMirrors
from modelops.adapters.http_servers import HttpServers
from modelops.adapters.lease import LeaseClient
from modelops.adapters.mlflow import MlflowRegistry
from modelops.adapters.mlflow_login import Login
from modelops.adapters.prometheus import Prometheus
from modelops.api.kinds import KINDS, Kind
from modelops.api.v1alpha1.control import Freeze
from modelops.domain.leadership import Timing
from modelops.errors import ModelopsError, Transient
from modelops.reconcile.bundle import Ports, Settings
from modelops.reconcile.computepool import ComputePoolReconciler
from modelops.reconcile.dataset import DatasetReconciler
from modelops.reconcile.gitsource import GitSourceReconciler
from modelops.reconcile.loop import Key, Loop, Outcome
from modelops.reconcile.metrictemplate import MetricTemplateReconciler
from modelops.reconcile.modelrelease import ModelReleaseReconciler
from modelops.reconcile.trainingrun import TrainingRunReconciler
from modelops.shell.election import Election
from modelops.shell.ending import end_now, ends_the_process, heed_signals
from modelops.shell.health import Health, serve_health, serve_metrics
from modelops.shell.pulse import Pulse
from modelops.shell.registry import News, build_registry, watched
from modelops.shell.watching import Watching
from modelops.shell.watchman import ask, deadline_of, watch_over
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
        server_addresses=config.server_addresses,
        pool_fallback=config.pool_fallback,
        workflow_service_account=config.workflow_service_account,
        registry_secret=config.registry_secret,
        default_service_account=config.default_service_account,
        freeze=Freeze(until=config.freeze_until, reason=config.freeze[:256]) if config.freeze else None,
    )


def login_of(config: configuration.Config) -> Login:
    """Return the operator's own login to MLflow."""
    return Login(
        config.mlflow_tracking_username,
        config.mlflow_tracking_password.get_secret_value(),
        config.mlflow_tracking_token.get_secret_value(),
    )


def build_ports(
    config: configuration.Config, cluster: CachedCluster, git: GitMirrors, fence: Fence | None = None
) -> Ports:
    """Return every port with its real adapter."""
    return Ports(
        cluster=cluster,
        git=git,
        registry=MlflowRegistry(config.mlflow_tracking_uri, login=login_of(config), fence=fence),
        metrics=Prometheus(config.prometheus_url),
        clock=SystemClock(),
        servers=HttpServers(),
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
        MetricTemplateReconciler(),
    )
    return {reconciler.kind.resource.kind: Loop(reconciler, ports) for reconciler in reconcilers}


class Operator:
    """One running operator: watches and caches at once, works once it leads.

    Args:
        config: the configuration.
        client: the API server.
        probe: the same, with short deadlines: asked when a watch is silent.
        fence: passed by every write; None where there is nobody to be elected against.
    """

    def __init__(
        self, config: configuration.Config, client: KubeClient, probe: KubeClient, fence: Fence | None = None
    ) -> None:
        self._config = config
        self._client = client
        self._probe = probe
        self._cluster = CachedCluster(client, watched())
        self._metrics = OperatorMetrics(CollectorRegistry())
        self._pulse = Pulse(watched(), 2 * config.watch_silence_seconds)
        self._health = Health(self._pulse)
        self._git = GitMirrors(config.git_cache_dir, config.allowed_git_schemes, fence=fence)
        loops = build_loops(build_ports(config, self._cluster, self._git, fence))
        self._workers = Workers(loops, on_outcome=self._on_outcome, on_gone=self._metrics.gone, paused=True)
        for resource in watched():
            self._metrics.watches(resource, functools.partial(self._pulse.last, resource))

    async def run(self, elect: Callable[[Callable[[], object]], Election] | None = None) -> bool:
        """Run until SIGTERM or SIGINT; return whether it was one of them that ended it.

        Args:
            elect: makes the election, given what it is to call once it is won; by default there is none.
        """
        stopping, elected = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        heed_signals(stopping, self._config.stop_seconds)
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

        news = News(self._cluster, self._workers.wake, self._metrics.listed)
        watching = Watching(functools.partial(self._registry, news), config.namespace)
        watching.start()
        question = functools.partial(ask, self._probe, namespace=config.namespace)
        endless = {
            asyncio.create_task(watch_over(self._pulse, question, watching.restart)),
            asyncio.create_task(self._work(news, elected)),
        }
        told = asyncio.create_task(stopping.wait())
        done, _ = await asyncio.wait({*endless, told}, return_when=asyncio.FIRST_COMPLETED)
        if told not in done:
            self._health.failed("a task that must run for ever has ended")
            for task in done:
                _log.error("ended by itself: %s; this process ends", task.exception())
        for task in endless:
            task.cancel()
        self._workers.stop()
        if election is not None:
            # Before anything else that takes time: a successor waits for this.
            await asyncio.to_thread(election.resign)
        self._git.close()
        watching.stop(0)
        for runner in runners:
            await runner.cleanup()
        return told in done

    def _registry(self, news: News) -> kopf.OperatorRegistry:
        silence = self._config.watch_silence_seconds
        return build_registry(news, self._client.connection, self._pulse, silence=silence, agent=self._client.agent)

    async def _work(self, news: News, elected: asyncio.Event) -> None:
        """Keep the caches right by listing, now and then; once elected, list first and then work.

        What was cached while standing by may be as old as a watch that died unnoticed; a leader begins with what is.
        """
        loop = asyncio.get_running_loop()
        # Not the loop's own threads: a list that hangs would hold up the end.
        thread = ThreadPoolExecutor(1, thread_name_prefix="relist")
        while True:
            leads = elected.is_set()
            try:
                await loop.run_in_executor(thread, news.prime, self._config.namespace)
            except ModelopsError as error:
                _log.warning("relist: %s", error)
                await asyncio.sleep(_pause_after(error))
                continue
            self._health.primed()
            if leads:
                self._metrics.leads()
                # Modules, classes and schemas stay for ever; to look at them for garbage halts every thread for 0.1 s.
                if not gc.get_freeze_count():
                    gc.freeze()
                self._workers.start()
                self._wake_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RELIST_SECONDS):
                    await (asyncio.Event() if leads else elected).wait()

    def _wake_all(self) -> None:
        for kind in KINDS:
            for obj in self._cluster.cached(kind.resource):
                self._workers.wake(kind, (obj["metadata"].get("namespace"), obj["metadata"]["name"]))

    def _on_outcome(self, kind: Kind, key: Key, outcome: Outcome, seconds: float) -> None:
        self._metrics.reconciled(kind, outcome, seconds)
        held = self._cluster.held(kind.resource, *key)
        if held is not None:
            self._metrics.observed(kind, held)


def _pause_after(error: ModelopsError) -> float:
    after = error.retry_after if isinstance(error, Transient) else None
    return 2.0 if after is None else max(2.0, after.total_seconds())


def identity(config: configuration.Config) -> str:
    """Return who this process is, unlike any other that ever was."""
    return f"{config.pod_name or socket.gethostname()}_{secrets.token_hex(4)}"


def operate(config: configuration.Config) -> bool:
    """Run the operator that a configuration describes, until it is told to stop; return whether that ended it.

    Raises:
        Stalled: there is no usable kubeconfig.
    """
    probe = KubeClient.from_kubeconfig(deadline=deadline_of(config.watch_silence_seconds))
    if not config.leader_election:
        return asyncio.run(Operator(config, KubeClient.from_kubeconfig(), probe).run())
    me, end = identity(config), ends_the_process(EXIT_LOST)
    timing = Timing(config.lease_seconds, config.lease_renew_seconds, config.lease_retry_seconds)
    fence = Fence(lambda: end("a write came after the Lease had run out"))
    agent = f"modelops/{me}"
    client = KubeClient.from_kubeconfig(agent=agent, fence=fence)
    lease = LeaseClient.connect(config.lease_namespace, config.lease_name, timing=timing, agent=agent)

    def elect(on_elected: Callable[[], object]) -> Election:
        return Election(lease, me, timing, fence, on_elected=on_elected, on_lost=end)

    return asyncio.run(Operator(config, client, probe, fence).run(elect))


def main() -> int:
    """Run the operator and end the process; a bad configuration is one line on stderr and exit code 2.

    Exit code 0: told to stop. 1: something that must run for ever ended by itself. 3: the Lease was lost.
    """
    try:
        config = configuration.load(os.environ)
        logs.configure(config.log_format)
        _log.info("configuration: %s", configuration.describe(config))
        end_now(0 if operate(config) else 1)
    except ModelopsError as error:
        sys.stderr.write(f"modelops: {error.message}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
