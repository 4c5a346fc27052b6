"""`modelops serve`: load one model, answer requests until told to stop.

Called by the command line (`modelops.cli`); this is the process that runs in a release's pods.
"""

import asyncio
import logging
import signal
import sys
from pathlib import Path

import click
from aiohttp import web

from modelops.server.http import ModelServer
from modelops.server.loading import ModelUnavailableError, load
from modelops.server.metrics import ServerMetrics


async def _serve(server: ModelServer, host: str, port: int, *, drain_seconds: float) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    runner = web.AppRunner(server.application(), access_log=None, keepalive_timeout=75)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024).start()
    await server.warm_up()
    logging.getLogger(__name__).info("ready on port %d", port)
    await stopping.wait()
    await server.drain(lame_seconds=drain_seconds, limit_seconds=25)
    await runner.cleanup()


@click.command()
@click.option("--model-uri", required=True, help="models:/NAME/VERSION, runs:/…, or a directory with an MLmodel file.")
@click.option("--name", default="model", show_default=True, help="The model's name in the protocol.")
@click.option("--model-version", default="1", show_default=True, help="The version that answers are labelled with.")
@click.option("--release", default="", help="Label of the metrics.")
@click.option("--revision", default="", help="Label of the metrics.")
@click.option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", default=None, help="Where MLflow answers.")
@click.option("--host", default="0.0.0.0", show_default=True, envvar="HOST", help="Address to listen on.")  # noqa: S104
@click.option("--port", type=int, default=8080, show_default=True, envvar="PORT", help="Port to listen on.")
@click.option("--drain-seconds", default=2.0, show_default=True, help="Answering goes on this long after SIGTERM.")
@click.option(
    "--answers-key",
    envvar="ANSWERS_KEY",
    default="",
    help="Bearer token of /answers; without it no answers are kept.",
)
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Keeps the model for this server's next start.")
def serve(
    model_uri: str,
    name: str,
    model_version: str,
    release: str,
    revision: str,
    tracking_uri: str | None,
    host: str,
    port: int,
    drain_seconds: float,
    answers_key: str,
    cache_dir: Path | None,
) -> None:
    """Serve one model: Open Inference Protocol v2, and MLflow's /invocations."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        predictor = load(model_uri, tracking_uri=tracking_uri, cache_dir=cache_dir)
        metrics = ServerMetrics(release, revision)
        server = ModelServer(predictor, name=name, version=model_version, metrics=metrics, answers_key=answers_key)
        asyncio.run(_serve(server, host, port, drain_seconds=drain_seconds))
    except ModelUnavailableError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
        ) from error
    except ValueError as error:
        raise click.ClickException(f"{model_uri} failed its warm-up: {error}") from error
