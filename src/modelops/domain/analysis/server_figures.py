"""Built-ins from our own model server's figures of one revision. Pure.

They tell what no gateway can see: what the model answered, what it was asked, how busy it is.
"""

import json
from datetime import timedelta
from typing import Final

from modelops.api.v1alpha1.analysis import ServerBuiltin
from modelops.domain.analysis.queries import SHORTEST_WINDOW, Subject, fill, grown

_MATCH: Final = 'namespace="{{ .namespace }}",release="{{ .release }}",revision="{{ .revision }}"'
_COUNTERS: Final[dict[ServerBuiltin, tuple[str, str]]] = {
    "nonfinite-share": ("nonfinite_outputs_total", "request_duration_seconds_count"),
    "missing-input-share": ("missing_inputs_total", "inputs_total"),
    "unknown-category-share": ("unknown_categories_total", "categories_total"),
    "saturation": ("model_duration_seconds_sum", "model_duration_seconds_count"),
    "constant-share": ("repeated_answers_total", "changed_rows_total"),
    "class-share": ("predictions_total", "predictions_total"),
}
"""What is counted, and of how many samples. prediction-drift counts nothing that is good or bad: see answers_by_bin."""


def answers_by_bin(subject: Subject, window: timedelta) -> str:
    """Return the query for how many requests were answered in the window, for each bin of answers."""
    return grown(f"modelops_server_predictions_total{{{fill(_MATCH, subject, SHORTEST_WINDOW)}}}", window, by="bin")


class ServerFigures:
    """One built-in over one revision's servers.

    Args:
        subject: whose figures; Prometheus gives each server the namespace of its pod as a label.
        builtin: which one.
        of_class: for class-share.
    """

    def __init__(self, subject: Subject, builtin: ServerBuiltin, of_class: str = "") -> None:
        self._match = fill(_MATCH, subject, SHORTEST_WINDOW)
        self._builtin = builtin
        # Whoever trained the model named its classes, so anything may be in a name; PromQL escapes strings as JSON.
        self._bin = f",bin={json.dumps(of_class, ensure_ascii=False)}" if builtin == "class-share" else ""
        self._events, self._samples = _COUNTERS[builtin]

    def samples(self, window: timedelta) -> str:
        """Return the query for how many samples there were in the window."""
        samples = grown(self._series(self._samples), window)
        # A request with rows of several classes is a part of each.
        return f"round({samples})" if self._bin else samples

    def events(self, window: timedelta) -> str:
        """Return the query for how many of the samples were bad; for saturation, the seconds that models worked."""
        return grown(self._series(self._events, self._bin), window)

    def value(self, window: timedelta) -> str:
        """Return the query for the share, 0-1; for saturation, of the time in which a server's model was busy."""
        if self._builtin == "saturation":
            # A server asks its model one question at a time, so a second of it is all that a second can hold.
            capacity = f"(count({self._series('ready')}) * {window.total_seconds():g})"
            return f"{self.events(window)} / {capacity}"
        return f"{self.events(window)} / {self.samples(window)}"

    def _series(self, name: str, more: str = "") -> str:
        return f"modelops_server_{name}{{{self._match}{more}}}"
