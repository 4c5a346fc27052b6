"""Where built-in metrics are counted: at the gateway, or without one at our own servers. Pure."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from typing_extensions import override

from modelops.domain.analysis.istio_figures import IstioFigures
from modelops.domain.analysis.nginx_figures import NginxFigures
from modelops.domain.analysis.queries import (
    BUT_THE_LAST,
    ENVOY_GATEWAY,
    EnvoyFigures,
    Figures,
    Subject,
    bucket_bounds,
    grown,
    quotable,
)
from modelops.errors import Stalled

SERVER: Final = "server"
"""The flavour of our server's own figures."""
_WAITED: Final = 'code!="499"'
"""499 is a client that did not wait for its answer."""
_REFUSED: Final = 'code=~"4.."'
_GOOD: Final = 'code=~"[234].."'


class OwnFigures(Figures):
    """Built-ins from what our servers count of themselves. Whatever fell over with one is in no figure.

    Args:
        subject: whose figures.
    """

    second = 1

    def __init__(self, subject: Subject) -> None:
        labels = {"namespace": subject.namespace, "release": subject.release, "revision": subject.revision}
        self._match = tuple(f'{name}="{quotable(value)}"' for name, value in labels.items())

    @override
    def buckets(self, window: timedelta) -> str:
        return bucket_bounds(f"modelops_server_request_duration_seconds_bucket{{{','.join(self._match)}}}", window)

    @override
    def samples(self, window: timedelta) -> str:
        return self._grown("requests_total", window)

    @override
    def client_errors(self, window: timedelta) -> str:
        return f"({self._grown('requests_total', window, _REFUSED, _WAITED)} or vector(0))"

    @override
    def slow_samples(self, window: timedelta) -> str:
        # The histogram has answers only, so that a client that gave up was not answered in time.
        return f"({self.samples(window)} or vector(0))"

    @override
    def _within(self, window: timedelta) -> str:
        return self._grown("request_duration_seconds_bucket", window, BUT_THE_LAST, by="le")

    @override
    def _good(self, window: timedelta) -> str:
        return f"({self._grown('requests_total', window, _GOOD, _WAITED)} or vector(0))"

    @override
    def _fast(self, window: timedelta, bucket: str | None) -> str:
        if bucket is None:
            return "vector(0)"
        within = f'le="{bucket}"'
        return f"({self._grown('request_duration_seconds_bucket', window, within)} or vector(0))"

    def _grown(self, name: str, window: timedelta, *more: str, by: str = "") -> str:
        return grown(f"modelops_server_{name}{{{','.join((*self._match, *more))}}}", window, by)


_FLAVOURS: Final[Mapping[str, Callable[[Subject], Figures]]] = {
    "envoy": EnvoyFigures,
    ENVOY_GATEWAY: EnvoyFigures,
    "istio": IstioFigures,
    "nginx": NginxFigures,
    SERVER: OwnFigures,
}


def figures_of(subject: Subject) -> Figures:
    """Return the built-ins as whoever counts the subject's requests has them.

    Raises:
        Stalled: nobody knows these figures (UnknownGatewayFigures).
    """
    gateway = subject.gateway
    if gateway not in _FLAVOURS:
        known = ", ".join(sorted(_FLAVOURS.keys() - {SERVER}))
        raise Stalled("UnknownGatewayFigures", f"gateway figures {gateway!r} are not known; use one of: {known}")
    return _FLAVOURS[gateway](subject)
