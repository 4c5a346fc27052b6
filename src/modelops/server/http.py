"""The HTTP side: routes, limits, readiness and drain. It knows no model; it asks a `Predictor`."""

import asyncio
import contextlib
import hmac
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from aiohttp import web

from modelops.server.batching import Batcher, ModelFailedError
from modelops.server.inputs import figures_of
from modelops.server.metrics import GIVEN_UP, ServerMetrics
from modelops.server.predictor import Outputs, Predictor, RefusedInputError
from modelops.server.protocol import (
    BadRequestError,
    Request,
    parse_infer,
    parse_invocations,
    render_infer,
    render_invocations,
)
from modelops.server.sample import REQUEST_ID, AnswerSample

_JSON: Final = "application/json"
MAX_BODY: Final = 32 * 1024 * 1024
"""Bytes of one request body; more is answered 413."""


class ModelServer:
    """One model behind the Open Inference Protocol v2 and MLflow's /invocations.

    Args:
        predictor: the loaded model.
        name: the model's name in the protocol (the release's name).
        version: the registered version.
        metrics: this process's series.
        answers_key: who brings it as a bearer token gets the sample of answers; without one none is kept.
    """

    def __init__(
        self, predictor: Predictor, *, name: str, version: str, metrics: ServerMetrics, answers_key: str = ""
    ) -> None:
        self._predictor = predictor
        self._name = name
        self._version = version
        self._metrics = metrics
        metrics.expect(predictor.classes)
        self._bearer = f"Bearer {answers_key}".encode()
        self._sample = AnswerSample(answers_key) if answers_key else None
        self._inputs = {column.name: column for column in predictor.inputs}
        self._batcher = Batcher(predictor, on_batch=metrics.batch)
        self._ready = False
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def warm_up(self) -> None:
        """Answer the example once; only then is the server ready.

        Raises:
            ValueError: the model answered with something that is not a finite number.
        """
        example = {name: list(values) for name, values in self._predictor.example().items()}
        outputs = await self._batcher.predict(Request(example, 1))
        if not outputs.finite():
            raise ValueError("the model answers its own example with a non-finite output")
        self._ready = True
        self._metrics.ready.set(1)

    async def drain(self, *, lame_seconds: float, limit_seconds: float) -> None:
        """Say not ready, keep answering for a while, then wait for what is in flight.

        Args:
            lame_seconds: how long new requests are still answered, so that gateways learn of it. Seconds.
            limit_seconds: how long requests in flight may take. Seconds.
        """
        self._ready = False
        self._metrics.ready.set(0)
        await asyncio.sleep(lame_seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                await self._idle.wait()
        self._batcher.close()

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(client_max_size=MAX_BODY)
        model = f"/v2/models/{self._name}"
        versioned = f"{model}/versions/{self._version}"
        routes = [
            web.get("/v2", self._server_metadata),
            web.get("/v2/health/live", self._live),
            web.get("/v2/health/ready", self._health_ready),
            web.get("/ping", self._health_ready),
            web.get("/metrics", self._render_metrics),
            web.get("/answers", self._render_sample),
            web.post("/invocations", self._counted(self._invocations)),
        ]
        for base in (model, versioned):
            routes += [
                web.get(base, self._model_metadata),
                web.get(f"{base}/ready", self._health_ready),
                web.post(f"{base}/infer", self._counted(self._infer)),
            ]
        app.add_routes(routes)
        return app

    def _counted(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def counted(request: web.Request) -> web.Response:
            begun = time.perf_counter()
            self._in_flight += 1
            self._idle.clear()
            self._metrics.in_flight.set(self._in_flight)
            try:
                response = await handler(request)
            except (BadRequestError, RefusedInputError) as error:
                response = _error(400, str(error))
            except web.HTTPRequestEntityTooLarge:
                response = _error(413, f"the body is larger than {MAX_BODY} bytes")
            except asyncio.CancelledError:
                self._metrics.answered(GIVEN_UP, time.perf_counter() - begun)
                raise
            except ModelFailedError as error:
                response = _error(500, f"the model failed: {error}")
            finally:
                self._in_flight -= 1
                if not self._in_flight:
                    self._idle.set()
                self._metrics.in_flight.set(self._in_flight)
            if not self._ready:
                response.force_close()
            self._metrics.answered(response.status, time.perf_counter() - begun)
            return response

        return counted

    async def _infer(self, request: web.Request) -> web.Response:
        body, arrived = await request.read(), time.time()
        parsed = parse_infer(_json(body), self._inputs)
        outputs = await self._answer(parsed)
        self._keep(request, body, arrived, outputs)
        identifier = parsed.id or uuid.uuid4().hex
        return _ok(render_infer(self._name, self._version, identifier, outputs))

    async def _invocations(self, request: web.Request) -> web.Response:
        if request.content_type != _JSON:
            return _error(415, f"send {_JSON}, not {request.content_type}")
        body, arrived = await request.read(), time.time()
        outputs = await self._answer(parse_invocations(_json(body), self._inputs))
        self._keep(request, body, arrived, outputs)
        return _ok(render_invocations(outputs))

    async def _answer(self, parsed: Request) -> Outputs:
        self._metrics.asked(figures_of(self._predictor.inputs, parsed))
        outputs = await self._batcher.predict(parsed)
        if not outputs.finite():
            self._metrics.nonfinite.inc()
            raise ModelFailedError("a non-finite output")
        self._metrics.told(parsed, outputs)
        return outputs

    def _keep(self, request: web.Request, body: bytes, arrived: float, outputs: Outputs) -> None:
        if self._sample is not None:
            self._sample.take(request.headers.get(REQUEST_ID), body, arrived, outputs)

    async def _server_metadata(self, _: web.Request) -> web.Response:
        return _ok({"name": "modelops", "version": "2", "extensions": []})

    async def _model_metadata(self, _: web.Request) -> web.Response:
        outputs = [{"name": "prediction", "datatype": "BYTES" if self._predictor.classes else "FP64", "shape": [-1]}]
        if self._predictor.classes:
            outputs.append({"name": "label", "datatype": "BYTES", "shape": [-1]})
            outputs.append({"name": "probabilities", "datatype": "FP64", "shape": [-1, len(self._predictor.classes)]})
        inputs = [
            {
                "name": column.name,
                "datatype": column.datatype,
                "shape": [-1],
                "parameters": {"required": column.required},
            }
            for column in self._predictor.inputs
        ]
        return _ok(
            {
                "name": self._name,
                "versions": [self._version],
                "platform": self._predictor.platform,
                "inputs": inputs,
                "outputs": outputs,
                "parameters": {"classes": list(self._predictor.classes)},
            }
        )

    async def _live(self, _: web.Request) -> web.Response:
        return _ok({"live": True})

    async def _health_ready(self, _: web.Request) -> web.Response:
        return _ok({"ready": True}) if self._ready else web.json_response({"ready": False}, status=503)

    async def _render_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _render_sample(self, request: web.Request) -> web.Response:
        brought = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if self._sample is None or not hmac.compare_digest(brought, self._bearer):
            # The operator's business: nobody else learns that there is anything.
            raise web.HTTPNotFound
        return web.Response(body=self._sample.render(), content_type=_JSON)


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error


def _ok(body: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type=_JSON)


def _error(status: int, message: str) -> web.Response:
    return web.Response(body=orjson.dumps({"error": message}), status=status, content_type=_JSON)
