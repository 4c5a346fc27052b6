"""Keeps what a status says of its metrics small enough for etcd, however many there are and however long they talk."""

from typing import Final

from modelops.api.v1alpha1.analysis_status import MetricStatus

_ROOM: Final = 40 * 1024
"""Bytes of JSON for all metrics; a status has at most 64 KiB, and the history and the conditions need theirs."""
_MORE: Final = "…"


def fitted(metrics: tuple[MetricStatus, ...]) -> tuple[MetricStatus, ...]:
    """Return the metrics within their room: texts cut short first, then the oldest measurements left out."""
    room = _ROOM // max(1, len(metrics))
    return tuple(_fit(one, room) for one in metrics)


def _fit(metric: MetricStatus, room: int) -> MetricStatus:
    # Cut whether or not there is room, so that fitting what was fitted changes nothing.
    looks = tuple(one.model_copy(update={"message": _cut(one.message, room // 10)}) for one in metric.measurements)
    texts = {"query": _cut(metric.query, room // 4), "bound": _cut(metric.bound, room // 10), "measurements": looks}
    fit = metric.model_copy(update=texts)
    while len(fit.measurements) > 1 and _size(fit) > room:
        fit = fit.model_copy(update={"measurements": fit.measurements[1:]})
    return fit


def _cut(text: str, room: int) -> str:
    kept = text.encode()
    return text if len(kept) <= room else kept[:room].decode(errors="ignore") + _MORE


def _size(metric: MetricStatus) -> int:
    return len(metric.model_dump_json(by_alias=True, exclude_none=True).encode())
