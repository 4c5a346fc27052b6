"""What keeps a release from moving, in plain words; for `release status`, `describe` and `plan`."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelops.api.v1alpha1.common import format_duration
from modelops.api.v1alpha1.modelrelease import ModelReleaseSpec
from modelops.domain.release.gate import moment
from modelops.domain.release.windows import window_words


def standing(status: Mapping[str, Any]) -> str:
    """Return what follows a release's line: what is queued, how long it is watched, when it ends."""
    words = []
    if status.get("canary") and (eta := status.get("eta")):
        words.append(f"at the earliest done, or with a human, at {eta}")
    if queued := status.get("queuedVersion"):
        waits = "" if status.get("canary") or not status.get("waitingFor") else f": {status['waitingFor']}"
        words.append(f"version {queued} is queued{waits}")
    if window := status.get("rollbackWindow"):
        previous = window["previous"]["version"]
        words.append(f"a Fail until {window['until']} gives the traffic back to version {previous}")
    return "".join(f"; {part}" for part in words)


def control_lines(spec: ModelReleaseSpec) -> Iterator[str]:
    """Yield what a spec says about when its release may move."""
    if spec.freeze is not None:
        until = f" until {moment(spec.freeze.until)}" if spec.freeze.until else ", until the freeze is taken out"
        reason = f" ({spec.freeze.reason})" if spec.freeze.reason else ""
        yield f"frozen{until}{reason}: no rollout begins, no weight rises, promote --full is refused"
    if spec.windows:
        windows = ", ".join(window_words(window) for window in spec.windows)
        yield f"rollouts begin and weights rise only in: {windows}"
    if spec.on_new_version == "Queue":
        yield "a newer version waits for the end of the one on its way"
    elif spec.on_new_version == "Ignore":
        yield "a version that comes while another is on its way is left out, until modelops release retry"
    if spec.rollback_window is not None:
        duration = format_duration(spec.rollback_window.duration)
        yield f"for {duration} after a promotion a Fail gives the traffic back to the version before"
