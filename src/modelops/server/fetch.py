"""`python -m modelops.server.fetch`: bring a registered model to a directory, for a server that is not ours.

Run by the init container of the runtimes `mlserver` and `mlflow`, so that those servers need neither MLflow's address
nor its credentials, and start again without it. The model's bytes are held against the registry's digest here, because
nobody will after us. It must never run code that comes with a model.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Final

import click

from modelops.server.loading import ModelUnavailableError, brought

_MLSERVER: Final = {
    # Metrics and gRPC have ports of their own, which two servers on one machine would fight over; a release is judged
    # by its gateway's figures, and asked over HTTP.
    "metrics_endpoint": None,
    "grpc_port": 0,
    # With worker processes a request takes twice as long, and one small model has no use for them.
    "parallel_workers": 0,
}


@click.command()
@click.option("--model-uri", required=True, help="models:/NAME/VERSION, or a directory with an MLmodel file.")
@click.option("--to", "directory", type=click.Path(path_type=Path), required=True, help="Gets `model/` and settings.")
@click.option("--name", required=True, help="The model's name in the protocol.")
@click.option("--model-version", required=True, help="The version that answers are labelled with.")
@click.option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", default=None, help="Where MLflow answers.")
def fetch(model_uri: str, directory: Path, name: str, model_version: str, tracking_uri: str | None) -> None:
    """Write DIRECTORY/model, and the settings by which MLServer finds it."""
    try:
        model = directory / "model"
        shutil.rmtree(model, ignore_errors=True)
        with brought(model_uri, tracking_uri=tracking_uri, parent=directory) as found:
            shutil.copytree(found, model)
        described = {
            "name": name,
            "implementation": "mlserver_mlflow.MLflowRuntime",
            "parameters": {"uri": "./model", "version": model_version},
        }
        (directory / "settings.json").write_text(json.dumps(_MLSERVER, indent=2), encoding="utf-8")
        (directory / "model-settings.json").write_text(json.dumps(described, indent=2), encoding="utf-8")
    except ModelUnavailableError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{model_uri} cannot be written to {directory}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(fetch())
