"""Built-ins from NGINX Plus' statistics, as NGINX Gateway Fabric has it report one upstream per revision. Pure.

NGINX without Plus counts no upstreams, and ingress-nginx does not read HTTPRoutes. Neither can tell revisions apart.
"""

from datetime import timedelta
from typing import Final, NoReturn

from typing_extensions import override

from modelops.domain.analysis.queries import Figures, Subject, grown, quotable, window_text
from modelops.errors import Stalled

_GOOD: Final = 'nginx_status_range=~"[234]xx"'
_REFUSED: Final = 'nginx_status_range="4xx"'


class NginxFigures(Figures):
    """Built-ins from nginx_http_upstream_peer_*. Latency is an average there; slow-share and latency cannot be asked.

    Args:
        subject: whose figures; copies go to the same upstream.
    """

    second = 1000

    def __init__(self, subject: Subject) -> None:
        self._match = f'nginx_upstream_name="{quotable(subject.namespace)}_{quotable(subject.service)}_80"'

    @override
    def buckets(self, window: timedelta) -> str:
        _no_latency()

    @override
    def samples(self, window: timedelta) -> str:
        # What was sent to a server and is no longer under way has ended, with an answer or without one. A reload sets
        # all of it back to zero, and what was under way then ends where nobody counts.
        w = window_text(window)
        sent = self._series("requests_total")
        under_way = self._series("connection_count_connections")
        restarted = f"(resets({sent}[{w}]) > 0) or ({sent} - ({sent} offset {w}) < 0)"
        before = f"(sum((({under_way} offset {w}) and {sent}) unless ({restarted})) or vector(0))"
        return f"clamp_min({grown(sent, window)} - sum({under_way}) + {before}, 0)"

    @override
    def client_errors(self, window: timedelta) -> str:
        return f"({self._grown('responses_total', window, _REFUSED)} or vector(0))"

    @override
    def slow_samples(self, window: timedelta) -> str:
        _no_latency()

    @override
    def _within(self, window: timedelta) -> str:
        _no_latency()

    @override
    def _good(self, window: timedelta) -> str:
        return f"({self._grown('responses_total', window, _GOOD)} or vector(0))"

    @override
    def _fast(self, window: timedelta, bucket: str | None) -> str:
        _no_latency()

    def _grown(self, name: str, window: timedelta, *more: str) -> str:
        return grown(self._series(name, *more), window)

    def _series(self, name: str, *more: str) -> str:
        return f"nginx_http_upstream_peer_{name}{{{','.join((self._match, *more))}}}"


def _no_latency() -> NoReturn:
    raise Stalled(
        "UnknownGatewayFigures", "NGINX has no histogram of latency; write a query over the servers' own in its place"
    )
