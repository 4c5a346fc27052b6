"""The server's image serves a real model, read-only and as nobody in particular."""

import json
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from modelops.model.tabular import TabularModel
from tests.images import started
from tests.images.containers import Image
from tests.images.model import write_model
from tests.support.operators import free_port

pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]

ROWS = {"area": [100.0, 100.0, 50.0], "rooms": [4, None, 2], "kind": ["house", "flat", "castle"]}
TYPES = {"area": "FP64", "rooms": "INT64", "kind": "BYTES"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    write_model(directory)
    directory.chmod(0o755)
    return directory


def asked(url: str, body: Any) -> Any:
    """Return what is answered."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_serves_a_model_and_ends_when_told(server: Image, model: Path, tmp_path: Path) -> None:
    """Its answers are those of the model; SIGTERM ends it with 0; nothing was written to its root."""
    begun = started.server(server, model, tmp_path)
    process = begun.process
    try:
        inputs = [{"name": name, "shape": [3], "datatype": TYPES[name], "data": data} for name, data in ROWS.items()]
        answer = asked(f"http://127.0.0.1:{begun.port}/v2/models/price/infer", {"inputs": inputs})
        expected = TabularModel.load(model).predict_columns(ROWS).prediction.tolist()
        assert answer["outputs"][0]["data"] == pytest.approx(expected, rel=1e-5)
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "\nUid:\t65532\t65532\t65532\t65532\n" in status
        assert "\nCapEff:\t0000000000000000\n" in status
        print(f"ready after {begun.seconds:.2f} s")  # noqa: T201
        assert begun.seconds < 30
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()


def test_runtime_mlflow_serves_the_same_model(server: Image, model: Path, tmp_path: Path) -> None:
    """The command of `serving.runtime: mlflow`, which runs the code in the model: it needs no torch either."""
    port = free_port()
    where = ("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port))
    command = ["mlflow", "models", "serve", "-m", "/mnt/model", *where]
    process = started.serving(server, command, port, "/ping", model, tmp_path).process
    try:
        rows = [list(row) for row in zip(*ROWS.values(), strict=True)]
        split = {"columns": list(ROWS), "data": rows}
        answer = asked(f"http://127.0.0.1:{port}/invocations", {"dataframe_split": split})
        expected = TabularModel.load(model).predict_columns(ROWS).prediction.tolist()
        assert [row["prediction"] for row in answer["predictions"]] == pytest.approx(expected, rel=1e-5)
    finally:
        process.terminate()
        process.wait(30)
