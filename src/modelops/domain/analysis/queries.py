"""Which PromQL is asked: a user's query with its fields filled in, or a built-in over somebody's figures.

Pure. `rate` and `increase` are not used: they miss the first value of a series, and a series of failures is born with
the first failure. Differences are taken per series instead; one that was born or reset within the window counts whole.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from typing_extensions import override

from modelops.api.v1alpha1.analysis import PrometheusQuery
from modelops.errors import Stalled

_FIELD: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_ARGUMENT: Final = re.compile(r"\{\{\s*args\.([A-Za-z0-9_-]+)\s*\}\}")
_VALUE: Final = re.compile(r"^[A-Za-z0-9_./-]{1,253}$")
ENVOY_GATEWAY: Final = "envoy-gateway"
SHORTEST_WINDOW: Final = timedelta(seconds=1)
BUT_THE_LAST: Final = 'le!="+Inf"'
_LONGEST_READING: Final = timedelta(seconds=30)
"""Between the readings of a gauge; above the usual scrape intervals."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose figures are asked for."""

    namespace: str
    release: str
    revision: str
    gateway: str = "envoy"
    """Who counts its requests, and by which name: envoy is the local home's, envoy-gateway is Envoy Gateway with
    mergeBackends, istio is Istio's gateway, nginx is NGINX Gateway Fabric with NGINX Plus, server are the
    revision's own servers."""
    mirrored: bool = False
    """Whether it gets copies of requests, and nothing else."""
    version: str = ""
    """The model version, as its answers name it."""

    @property
    def service(self) -> str:
        """The name of the revision's Service and Deployment."""
        return f"{self.release[:50].rstrip('-')}-{self.revision}"

    @property
    def cluster(self) -> str:
        """Envoy's name for the revision's backend."""
        if self.gateway != ENVOY_GATEWAY:
            return f"{self.namespace}_{self.service}"
        if self.mirrored:
            # Never merged: named by the filter, the first of the only rule that a route with copies has.
            return f"httproute/{self.namespace}/{self.release}/rule/0-mirror-0"
        return f"service/{self.namespace}/{self.service}/80/http"


def window_text(window: timedelta) -> str:
    """Return a PromQL duration of whole milliseconds, at least one second."""
    return f"{round(max(SHORTEST_WINDOW, window).total_seconds() * 1000)}ms"


def fill(template: str, subject: Subject, window: timedelta) -> str:
    """Return a query with its fields filled in.

    Raises:
        Stalled: a field is not known (InvalidSpec).
    """
    return _filled(template, _fields(subject, window))


def asks_window(template: str) -> bool:
    """Return whether a query has a `{{ .window }}`, so that a longer one asks about more."""
    return ".window" in _FIELD.findall(template)


def with_arguments(query: str, values: Mapping[str, str]) -> str:
    """Return a MetricTemplate's query with its arguments filled in; its other fields stay for `fill`."""
    return _ARGUMENT.sub(lambda match: values.get(match[1], match[0]), query)


def unfillable(asked: PrometheusQuery, arguments: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield every query that `fill` would refuse, as (field, what is wrong).

    Args:
        asked: the queries.
        arguments: of the MetricTemplate that they stand in.
    """
    fields = _fields(Subject("namespace", "release", "revision", version="1"), SHORTEST_WINDOW)
    known = {**fields, **{f"args.{name}": "value" for name in arguments}}
    queries = {
        "query": asked.query,
        "eventsQuery": asked.events_query,
        "sumQuery": asked.sum_query,
        "squaresQuery": asked.squares_query,
        "samplesQuery": asked.samples_query,
    }
    for name, query in queries.items():
        try:
            _filled(query or "", known)
        except Stalled as error:
            yield name, error.message


def _fields(subject: Subject, window: timedelta) -> Mapping[str, str]:
    return {
        ".revision": subject.revision,
        ".release": subject.release,
        ".namespace": subject.namespace,
        ".cluster": subject.cluster,
        ".window": window_text(window),
        ".version": subject.version,
    }


def _filled(template: str, fields: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = fields.get(match[1])
        if found is None or not _VALUE.match(found):
            known = ", ".join(f"{{{{ {name} }}}}" for name in fields)
            raise Stalled("InvalidSpec", f"the query has {match[0]!r}; known fields are {known}")
        return found

    return _FIELD.sub(value, template)


def grown(series: str, window: timedelta, by: str = "") -> str:
    """Return the query for how much counters grew in the window, added up; for each value of a label, if wanted."""
    w = window_text(window)
    # A reset between the last scrape before the window and the first one in it is in no range; it shows as a loss.
    difference = f"(({series} - ({series} offset {w})) >= 0)"
    each = f" by ({by}) " if by else ""
    return f"sum{each}(({difference} unless (resets({series}[{w}]) > 0)) or {series})"


def bucket_bounds(series: str, window: timedelta) -> str:
    """Return the query for the bounds that buckets have now, or had before the window."""
    return f"group by (le) ({series} or {series} offset {window_text(window)})"


class Figures(ABC):
    """Built-in metrics over the counters of one revision; a source says where they are counted."""

    second: ClassVar[float]
    """One second in the unit of the latency histogram's bounds."""

    @abstractmethod
    def buckets(self, window: timedelta) -> str:
        """Return the query for the bounds (label `le`) of the latency histogram, now and before the window."""

    @abstractmethod
    def samples(self, window: timedelta) -> str:
        """Return the query for how many requests ended in the window: answered, failed or abandoned by the client."""

    @abstractmethod
    def client_errors(self, window: timedelta) -> str:
        """Return the query for how many requests were answered with a 4xx."""

    @abstractmethod
    def slow_samples(self, window: timedelta) -> str:
        """Return the query for how many requests are known to be slow or fast."""

    @abstractmethod
    def _within(self, window: timedelta) -> str:
        """Return the query for how many requests were answered within each bucket but the last (label `le`)."""

    @abstractmethod
    def _good(self, window: timedelta) -> str:
        """Return the query for how many requests were answered without a 5xx."""

    @abstractmethod
    def _fast(self, window: timedelta, bucket: str | None) -> str:
        """Return the query for how many requests were answered within a bucket."""

    def success_rate(self, window: timedelta) -> str:
        """Return the query for the share of requests that the server answered without a 5xx, 0-1."""
        return f"{self._good(window)} / {self.samples(window)}"

    def client_error_share(self, window: timedelta) -> str:
        """Return the query for the share of requests that were answered with a 4xx, 0-1."""
        return f"{self.client_errors(window)} / {self.samples(window)}"

    def failures(self, window: timedelta) -> str:
        """Return the query for how many requests were not answered, or with a 5xx."""
        return f"clamp_min({self.samples(window)} - {self._good(window)}, 0)"

    def slow_share(self, window: timedelta, bucket: str | None) -> str:
        """Return the query for the share of requests that took longer than a bucket, or never ended, 0-1.

        Args:
            window: how far back.
            bucket: `le` of the bucket; None when the histogram has no series, so nothing was ever answered.
        """
        return f"clamp_min(1 - {self._fast(window, bucket)} / {self.slow_samples(window)}, 0)"

    def by_bucket(self, window: timedelta) -> str:
        """Return the query for how many requests took at most as long as each bucket's bound (label `le`).

        All that are known to be slow or fast are in the last one, `+Inf`.
        """
        return f'({self._within(window)} or label_replace({self.slow_samples(window)}, "le", "+Inf", "", ""))'

    def slow(self, window: timedelta, bucket: str | None) -> str:
        """Return the query for how many requests took longer than a bucket, or never ended; arguments: slow_share."""
        return f"clamp_min({self.slow_samples(window)} - {self._fast(window, bucket)}, 0)"


class EnvoyFigures(Figures):
    """Built-ins from Envoy's statistics of one cluster per revision.

    Args:
        subject: whose figures.
    """

    second = 1000

    def __init__(self, subject: Subject) -> None:
        self._match = f'envoy_cluster_name="{quotable(subject.cluster)}"'

    @override
    def buckets(self, window: timedelta) -> str:
        return bucket_bounds(f"envoy_cluster_upstream_rq_time_bucket{{{self._match}}}", window)

    @override
    def samples(self, window: timedelta) -> str:
        # What completes while Envoy writes its figures is in a later family and not in an earlier one: all answers are
        # counted by the family that tells good ones apart. It has no series before the first answer.
        answered = f"({self._grown('upstream_rq_xx', window)} or {self._grown('upstream_rq_completed', window)})"
        return f"({answered} + {self._abandoned(window)})"

    @override
    def client_errors(self, window: timedelta) -> str:
        refused = self._grown("upstream_rq_xx", window, 'envoy_response_code_class="4"')
        return f"({refused} or vector(0))"

    @override
    def slow_samples(self, window: timedelta) -> str:
        # Envoy's histograms lag behind its counters by up to one flush, so the histogram is held against its own count;
        # what never enters it (timeouts, requests abandoned by clients) is added.
        timed = self._grown("upstream_rq_time_count", window)
        timeouts = self._grown("upstream_rq_timeout", window)
        return f"(({timed} or vector(0)) + ({timeouts} or vector(0)) + ({self._abandoned(window)} or vector(0)))"

    @override
    def _within(self, window: timedelta) -> str:
        return self._grown("upstream_rq_time_bucket", window, BUT_THE_LAST, by="le")

    @override
    def _good(self, window: timedelta) -> str:
        grown = self._grown("upstream_rq_xx", window, 'envoy_response_code_class=~"2|3|4"')
        return f"({grown} or vector(0))"

    @override
    def _fast(self, window: timedelta, bucket: str | None) -> str:
        if bucket is None:
            return "vector(0)"
        grown = self._grown("upstream_rq_time_bucket", window, f'le="{bucket}"')
        return f"({grown} or vector(0))"

    def _abandoned(self, window: timedelta) -> str:
        """Return the query for requests that were started but neither completed nor are still in flight.

        Envoy writes counters before gauges, so a request that ends in between looks abandoned until the next scrape;
        one that was abandoned looks so for ever. The median of three readings at either end tells them apart. It sees
        an abandoned request a reading later, and in one window only. Of an Envoy or a cluster that is too young for
        three nothing is known yet: who was abandoned meanwhile is in a later window, which begins at none.
        """
        step = max(timedelta(seconds=1), min(window / 4, _LONGEST_READING))
        readings = f"{window_text(3 * step)}:{window_text(step)}"
        started, completed, active = (
            f"envoy_cluster_upstream_rq_{name}{{{self._match}}}" for name in ("total", "completed", "active")
        )
        unanswered = f"({started} - {completed} - ({active} or 0 * {started}))"

        def read(back: timedelta) -> str:
            then = f"offset {window_text(back + 3 * step)}"
            # A series that one failed scrape has interrupted is no younger for it.
            old = f"({started} {then} or present_over_time({started}[{window_text(4 * step)}] {then}))"
            restarted = f"(resets({started}[{window_text(back + 4 * step)}]) > 0)"
            offset = f" offset {window_text(back)}" if back else ""
            return f"(quantile_over_time(0.5, {unanswered}[{readings}]{offset}) and {old} unless {restarted})"

        now, before = read(timedelta()), read(window)
        return f"(sum(floor(clamp_min({now} - ({before} or 0 * {started}), 0))) or vector(0))"

    def _grown(self, name: str, window: timedelta, *more: str, by: str = "") -> str:
        return grown(f"envoy_cluster_{name}{{{','.join((self._match, *more))}}}", window, by)


def quotable(text: str) -> str:
    """Return a name that may stand between quotes.

    Raises:
        Stalled: it could end them (InvalidSpec).
    """
    if not _VALUE.match(text):
        raise Stalled("InvalidSpec", f"{text!r} cannot stand in a query")
    return text
