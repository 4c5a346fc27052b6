"""The server's image serves a real model, read-only and as nobody in particular."""

import json
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from modelops.model.tabular import TabularModel
from tests.images.containers import Image
from tests.images.model import write_model
from tests.support.operators import free_port, until

pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]

ROWS = {"area": [100.0, 100.0, 50.0], "rooms": [4, None, 2], "kind": ["house", "flat", "castle"]}
TYPES = {"area": "FP64", "rooms": "INT64", "kind": "BYTES"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    write_model(directory)
    directory.chmod(0o755)
    return directory


def asked(url: str, body: Any = None) -> Any:
    """Return what is answered, None for an empty answer; False if nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
            return json.loads(text) if text.strip() else None
    except (urllib.error.URLError, ConnectionError):
        return False


def answers(image: Image, command: list[str], port: int, path: str, model: Path, log: Path) -> Any:
    """Start a server and return its process once it says that it is ready, and after how many seconds it did."""
    begun = time.monotonic()
    with log.open("w") as out:
        env = {"PORT": str(port), "HOST": "127.0.0.1"}
        process = image.start(command, env=env, mounts={"/mnt/model": model}, stdout=out, stderr=out)
    until(
        lambda: process.poll() is not None or asked(f"http://127.0.0.1:{port}{path}") is not False, 120, log.read_text
    )
    assert process.poll() is None, log.read_text()
    return process, time.monotonic() - begun


def test_serves_a_model_and_ends_when_told(server: Image, model: Path, tmp_path: Path) -> None:
    """Its answers are those of the model; SIGTERM ends it with 0; nothing was written to its root."""
    port = free_port()
    command = [*server.config["Entrypoint"], "--model-uri", "/mnt/model", "--name", "price", "--drain-seconds", "0"]
    process, seconds = answers(server, command, port, "/v2/health/ready", model, tmp_path / "log")
    try:
        inputs = [{"name": name, "shape": [3], "datatype": TYPES[name], "data": data} for name, data in ROWS.items()]
        answer = asked(f"http://127.0.0.1:{port}/v2/models/price/infer", {"inputs": inputs})
        expected = TabularModel.load(model).predict_columns(ROWS).prediction.tolist()
        assert answer["outputs"][0]["data"] == pytest.approx(expected, rel=1e-5)
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "\nUid:\t65532\t65532\t65532\t65532\n" in status
        assert "\nCapEff:\t0000000000000000\n" in status
        print(f"ready after {seconds:.2f} s")  # noqa: T201
        assert seconds < 30
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()


def test_runtime_mlflow_serves_the_same_model(server: Image, model: Path, tmp_path: Path) -> None:
    """The command of `serving.runtime: mlflow`, which runs the code in the model: it needs no torch either."""
    port = free_port()
    where = ("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port))
    command = ["mlflow", "models", "serve", "-m", "/mnt/model", *where]
    process, _ = answers(server, command, port, "/ping", model, tmp_path / "log")
    try:
        rows = [list(row) for row in zip(*ROWS.values(), strict=True)]
        split = {"columns": list(ROWS), "data": rows}
        answer = asked(f"http://127.0.0.1:{port}/invocations", {"dataframe_split": split})
        expected = TabularModel.load(model).predict_columns(ROWS).prediction.tolist()
        assert [row["prediction"] for row in answer["predictions"]] == pytest.approx(expected, rel=1e-5)
    finally:
        process.terminate()
        process.wait(30)
