"""The server's own figures, for Prometheus. Without a gateway's, a release is judged by them."""

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from modelops.server.inputs import InputFigures
from modelops.server.outputs import first_answer, known_bins, shares_of
from modelops.server.predictor import Outputs
from modelops.server.protocol import Request

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

GIVEN_UP = 499
"""Status of a request whose client went away."""


class ServerMetrics:
    """Series of one server process; children are bound once, because labels cost time per request."""

    def __init__(self, release: str, revision: str) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        # Memory and processor time of this process; a release may bound the memory before there is traffic.
        ProcessCollector(registry=self._registry)
        names = ("release", "revision")
        bound = {"release": release, "revision": revision}
        requests = Counter(
            "modelops_server_requests", "Inference requests by HTTP status.", (*names, "code"), registry=self._registry
        )
        self._requests = requests
        self._bound = bound
        self._by_code: dict[int, Counter] = {}
        self.seconds = Histogram(
            "modelops_server_request_duration_seconds", "From request to answer.", names,
            buckets=_SECONDS, registry=self._registry,
        ).labels(**bound)  # fmt: skip
        self.model_seconds = Histogram(
            "modelops_server_model_duration_seconds", "One call of the model.", names,
            buckets=_SECONDS, registry=self._registry,
        ).labels(**bound)  # fmt: skip
        self.batch_rows = Histogram(
            "modelops_server_batch_rows", "Rows of one call of the model.", names,
            buckets=_ROWS, registry=self._registry,
        ).labels(**bound)  # fmt: skip

        def counter(name: str, what: str) -> Counter:
            return Counter(f"modelops_server_{name}", what, names, registry=self._registry).labels(**bound)

        self._inputs = counter("inputs", "Values of rows that were asked about, one for each column of the model.")
        self._missing = counter("missing_inputs", "Values that were null or left out.")
        self._categories = counter("categories", "Values of columns whose categories the model knows.")
        self._unknown = counter("unknown_categories", "Categories that the model was not trained on.")
        self.nonfinite = counter("nonfinite_outputs", "Requests whose answer was not a finite number.")
        self._predictions = Counter(
            "modelops_server_predictions", "Requests by the bin of their answers; one of many rows counts once.",
            (*names, "bin"), registry=self._registry,
        )  # fmt: skip
        self._by_bin: dict[str, Counter] = {}
        self._classes: frozenset[str] = frozenset()
        self._changed = counter("changed_rows", "Requests whose first row is another than that of the request before.")
        self._repeated = counter("repeated_answers", "Of these, those with the same answer to it.")
        self._last: tuple[Any, Any] | None = None
        self.in_flight = Gauge(
            "modelops_server_in_flight_requests", "Requests being answered.", names, registry=self._registry
        ).labels(**bound)
        self.ready = Gauge(
            "modelops_server_ready", "1 once the model answered its warm-up, 0 while draining.", names,
            registry=self._registry,
        ).labels(**bound)  # fmt: skip

    def answered(self, code: int, seconds: float) -> None:
        """Count one answer; 499 is that of a client that did not wait for one."""
        child = self._by_code.get(code)
        if child is None:
            child = self._by_code[code] = self._requests.labels(code=str(code), **self._bound)
        child.inc()
        if code != GIVEN_UP:
            self.seconds.observe(seconds)

    def batch(self, rows: int, seconds: float) -> None:
        """Count one call of the model."""
        self.batch_rows.observe(rows)
        self.model_seconds.observe(seconds)

    def asked(self, inputs: InputFigures) -> None:
        """Count the values of one request."""
        self._inputs.inc(inputs.values)
        self._missing.inc(inputs.missing)
        self._categories.inc(inputs.categories)
        self._unknown.inc(inputs.unknown)

    def expect(self, classes: Sequence[str]) -> None:
        """Have a series of each class from the beginning, so that one that is never answered is known to be none."""
        self._classes = known_bins(classes)
        for name in self._classes:
            self._count(name, 0)

    def told(self, request: Request, outputs: Outputs) -> None:
        """Count the finite answers to one request."""
        for name, share in shares_of(outputs, self._classes):
            self._count(name, share)
        row, answer = {name: values[0] for name, values in request.columns.items()}, first_answer(outputs)
        if self._last is not None and self._last[0] != row:
            self._changed.inc()
            if self._last[1] == answer:
                self._repeated.inc()
        self._last = row, answer

    def _count(self, name: str, share: float) -> None:
        child = self._by_bin.get(name)
        if child is None:
            child = self._by_bin[name] = self._predictions.labels(bin=name, **self._bound)
        child.inc(share)

    def render(self) -> bytes:
        """Return the text exposition."""
        return generate_latest(self._registry)
