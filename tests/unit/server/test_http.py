"""The model server over real HTTP with a model of ten lines: protocol, batches, readiness, drain, metrics."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer

from modelops.server.http import ModelServer
from modelops.server.metrics import ServerMetrics
from modelops.server.predictor import Column, Outputs, RefusedInputError


@dataclass
class Doubler:
    """Answers twice its input; refuses a missing one, raises on 13, and overflows beyond 1e300."""

    seconds: float = 0.0
    calls: list[int] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    platform = "test"
    inputs = (Column("x", "FP64"), Column("note", "BYTES", required=False))
    example_value: float = 1.0

    def example(self) -> Mapping[str, list[Any]]:
        return {"x": [self.example_value]}

    def predict(self, columns: Mapping[str, list[Any]], rows: int) -> Outputs:
        self.calls.append(rows)
        time.sleep(self.seconds)
        if None in columns["x"]:
            raise RefusedInputError(f"column 'x' is required, but row {columns['x'].index(None)} has no value")
        if 13 in columns["x"]:
            raise ArithmeticError("unlucky")
        return Outputs(np.array([value * 2 if abs(value) < 1e300 else math.inf for value in columns["x"]]))


def infer(*values: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "datatype": "FP64", "shape": [len(values)], "data": list(values)}]}


def serve(
    predictor: Doubler, talk: Callable[[TestClient[Any, Any], ModelServer], Awaitable[None]], answers_key: str = ""
) -> None:
    """Serve the model on a port and talk to it."""

    async def run() -> None:
        metrics = ServerMetrics("price", "abc")
        server = ModelServer(predictor, name="price", version="7", metrics=metrics, answers_key=answers_key)
        async with TestClient(TestServer(server.application())) as client:
            await talk(client, server)

    asyncio.run(run())


PATH = "/v2/models/price/infer"


def test_ready_only_after_the_warm_up() -> None:
    """Live at once; ready once the model answered its own example."""

    async def talk(client: TestClient[Any, Any], server: ModelServer) -> None:
        assert (await client.get("/v2/health/live")).status == 200
        assert (await client.get("/v2/health/ready")).status == 503
        await server.warm_up()
        for path in ("/v2/health/ready", "/v2/models/price/ready", "/v2/models/price/versions/7/ready", "/ping"):
            assert (await client.get(path)).status == 200

    serve(Doubler(), talk)


def test_model_that_cannot_answer_its_example_never_becomes_ready() -> None:
    """A non-finite answer to the example is a model that must not serve."""

    async def talk(_: TestClient[Any, Any], server: ModelServer) -> None:
        with pytest.raises(ValueError, match="non-finite"):
            await server.warm_up()

    serve(Doubler(example_value=1e301), talk)


def test_answers_of_both_protocols() -> None:
    """Open Inference Protocol with id and version; MLflow's three formats."""

    async def talk(client: TestClient[Any, Any], server: ModelServer) -> None:
        await server.warm_up()
        answer = await (await client.post(PATH, json=infer(1, 2.5) | {"id": "q"})).json()
        assert (answer["id"], answer["model_name"], answer["model_version"]) == ("q", "price", "7")
        assert answer["outputs"] == [{"name": "prediction", "datatype": "FP64", "shape": [2], "data": [2.0, 5.0]}]
        for body in (
            {"dataframe_split": {"columns": ["x"], "data": [[3]]}},
            {"dataframe_records": [{"x": 3}]},
            {"inputs": {"x": [3]}},
        ):
            assert await (await client.post("/invocations", json=body)).json() == {"predictions": [6.0]}

    serve(Doubler(), talk)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        pytest.param({"inputs": []}, 400, "required column 'x' is missing", id="missing column"),
        pytest.param(infer(None), 400, "column 'x' is required, but row 0", id="missing value"),
        pytest.param(infer("a"), 400, "column 'x': 'a' is not FP64", id="wrong type"),
        pytest.param({"inputs": [{"name": "y"}]}, 400, "'y' is not one of the model's inputs", id="unknown column"),
        pytest.param(
            {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [1]}]}, 400, "shape", id="shape"
        ),
        pytest.param("{", 400, "not JSON", id="broken JSON"),
        pytest.param(infer(), 400, "no rows", id="no rows"),
        pytest.param(infer(1e301), 500, "non-finite", id="infinite answer"),
        pytest.param(infer(13), 500, "unlucky", id="model raises"),
    ],
)
def test_refusal_is_one_line(body: Any, status: int, said: str) -> None:
    """400 names the column; a model that fails is a 500, never a bare NaN."""

    async def talk(client: TestClient[Any, Any], server: ModelServer) -> None:
        await server.warm_up()
        sent = {"data": body} if isinstance(body, str) else {"json": body}
        answer = await client.post(PATH, **sent)
        assert answer.status == status
        assert said in (await answer.json())["error"]

    serve(Doubler(), talk)


def test_concurrent_requests_are_answered_together_and_one_bad_one_harms_no_other() -> None:
    """Those that wait beside each other share a call; the one that fails is found and answered alone."""
    model = Doubler(seconds=0.05)

    async def talk(client: TestClient[Any, Any], server: ModelServer) -> None:
        await server.warm_up()
        answers = await asyncio.gather(*(client.post(PATH, json=infer(n)) for n in (*range(1, 10), 13, None)))
        assert [answer.status for answer in answers] == [200] * 9 + [500, 400]
        for number, answer in zip(range(1, 10), answers, strict=False):
            assert (await answer.json())["outputs"][0]["data"] == [2.0 * number]

    serve(model, talk)
    assert max(model.calls) >= 5


def test_drain_answers_what_is_in_flight() -> None:
    """Not ready at once; nothing that was asked is lost."""
    model = Doubler(seconds=0.3)

    async def talk(client: TestClient[Any, Any], server: ModelServer) -> None:
        await server.warm_up()
        asked = asyncio.create_task(client.post(PATH, json=infer(4)))
        await asyncio.sleep(0.05)
        draining = asyncio.create_task(server.drain(lame_seconds=0.1, limit_seconds=5))
        await asyncio.sleep(0.02)
        assert (await client.get("/v2/health/ready")).status == 503
        assert (await asked).status == 200
        await draining

    serve(model, talk)


class Choosy(Doubler):
    """Knows two categories of notes."""

    inputs = (Column("x", "FP64"), Column("note", "BYTES", required=False, known=frozenset({"a", "b"})))


def test_values_that_are_missing_or_unknown_are_counted() -> None:
    """Null, empty and left out are missing; what is there and was never seen is unknown."""

    async def talk(client: TestClient[Any, Any], server: ModelServer) -> None:
        await server.warm_up()
        notes = {"name": "note", "datatype": "BYTES", "shape": [5], "data": ["a", None, "", "c", "b"]}
        await client.post(PATH, json={"inputs": [*infer(1, 2, 3, 4, 5)["inputs"], notes]})
        await client.post(PATH, json=infer(1, 2))
        text = await (await client.get("/metrics")).text()
        for line in (
            'modelops_server_inputs_total{release="price",revision="abc"} 14.0',
            'modelops_server_missing_inputs_total{release="price",revision="abc"} 4.0',
            'modelops_server_categories_total{release="price",revision="abc"} 3.0',
            'modelops_server_unknown_categories_total{release="price",revision="abc"} 1.0',
        ):
            assert line in text

    serve(Choosy(), talk)


def test_metrics_carry_release_and_revision() -> None:
    """By status, with the number of rows of each call."""

    async def talk(client: TestClient[Any, Any], server: ModelServer) -> None:
        await server.warm_up()
        await client.post(PATH, json=infer(1))
        await client.post(PATH, json=infer(1e301))
        text = await (await client.get("/metrics")).text()
        for line in (
            'modelops_server_requests_total{code="200",release="price",revision="abc"} 1.0',
            'modelops_server_requests_total{code="500",release="price",revision="abc"} 1.0',
            'modelops_server_nonfinite_outputs_total{release="price",revision="abc"} 1.0',
            'modelops_server_ready{release="price",revision="abc"} 1.0',
            "process_resident_memory_bytes ",
        ):
            assert line in text

    serve(Doubler(), talk)
