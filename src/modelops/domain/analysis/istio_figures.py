"""Built-ins from Istio's standard metrics, as its gateway reports them of one revision's Service. Pure.

A request is counted once, when it has ended, whatever became of it. Two of its labels say less than they seem to:
destination_service_namespace is unknown of a request that reached no server, so that it would lose every refused
connection; and a request that its client gave up has the time until then in the histogram, as if it had been fast.
"""

from datetime import timedelta
from typing import Final

from typing_extensions import override

from modelops.domain.analysis.queries import BUT_THE_LAST, Figures, Subject, bucket_bounds, grown, quotable

_GOOD: Final = 'response_code=~"[234].."'
_REFUSED: Final = 'response_code=~"4.."'
_ANSWERED: Final = "-|URX|DI"
"""Flags of what the server itself answered: none, after retries, delayed on purpose."""
_NEVER_ENDED: Final = "(.*,)?(DC|UT|SI|DT)(,.*)?"
"""The client gave up, or a time limit was reached."""


class IstioFigures(Figures):
    """Built-ins from istio_requests_total and istio_request_duration_milliseconds.

    Args:
        subject: whose figures.
    """

    second = 1000

    def __init__(self, subject: Subject) -> None:
        service, namespace = quotable(subject.service), quotable(subject.namespace)
        if subject.mirrored:
            # A gateway does not report copies; the proxies beside the servers do, under the server's own name.
            self._match: tuple[str, ...] = (
                'reporter="destination"',
                f'destination_workload="{service}"',
                f'destination_workload_namespace="{namespace}"',
            )
        else:
            # The servers' proxies report the same requests again, without those that never came to one.
            self._match = ('reporter="source"', f'destination_service=~"{service}[.]{namespace}[.]svc[.].+"')

    @override
    def buckets(self, window: timedelta) -> str:
        return bucket_bounds(f"istio_request_duration_milliseconds_bucket{{{','.join(self._match)}}}", window)

    @override
    def samples(self, window: timedelta) -> str:
        return self._grown("requests_total", window)

    @override
    def client_errors(self, window: timedelta) -> str:
        return f"({self._grown('requests_total', window, _REFUSED)} or vector(0))"

    @override
    def slow_samples(self, window: timedelta) -> str:
        known = f'response_flags=~"{_ANSWERED}|{_NEVER_ENDED}"'
        return f"({self._grown('request_duration_milliseconds_count', window, known)} or vector(0))"

    @override
    def _within(self, window: timedelta) -> str:
        return self._grown(
            "request_duration_milliseconds_bucket", window, f'response_flags=~"{_ANSWERED}"', BUT_THE_LAST, by="le"
        )

    @override
    def _good(self, window: timedelta) -> str:
        return f"({self._grown('requests_total', window, _GOOD)} or vector(0))"

    @override
    def _fast(self, window: timedelta, bucket: str | None) -> str:
        if bucket is None:
            return "vector(0)"
        within = (f'response_flags=~"{_ANSWERED}"', f'le="{bucket}"')
        return f"({self._grown('request_duration_milliseconds_bucket', window, *within)} or vector(0))"

    def _grown(self, name: str, window: timedelta, *more: str, by: str = "") -> str:
        return grown(f"istio_{name}{{{','.join((*self._match, *more))}}}", window, by)
