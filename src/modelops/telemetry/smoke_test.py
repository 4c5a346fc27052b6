"""What is shown of a release's smoke test: what it comes to, and each golden request's answer beside its limits."""

from collections.abc import Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry

from modelops.api.v1alpha1.common import parse_duration
from modelops.domain.quantities import quantity
from modelops.telemetry.family import RELEASE, Family, Owner, fields

_OUTCOMES: Final = ("Running", "Passed", "Failed")


class SmokeTestSeries:
    """Series of smoke tests; those of a request that left the spec are deleted with the next test.

    Args:
        registry: where the series live.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def family(name: str, what: str, *more: str) -> Family:
            return Family(f"modelops_release_{name}", what, RELEASE, more, registry)

        self._outcome = family("smoke_test_outcome", "1 for what the smoke test comes to so far.", "outcome")
        self._failures = family("smoke_test_failures", "Failed tests of the revision, held against failureLimit.")
        self._memory = family("smoke_test_memory_bytes", "Memory of the server that was tested, where it is limited.")
        self._most_memory = family("smoke_test_max_memory_bytes", "Limit of the memory of a tested server.")
        self._expected = family(
            "golden_request_expected",
            "1 if the last answers to a golden request were as expected, else 0.",
            "request",
        )
        self._took = family("golden_request_seconds", "Slowest answer to a golden request at the last test.", "request")
        self._longest = family("golden_request_max_seconds", "Limit of the slowest answer to each golden request.")
        self._families = tuple(one for one in vars(self).values() if isinstance(one, Family))

    def observed(self, owner: Owner, spec: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Show a release's smoke test."""
        wanted, test = fields(spec, "smokeTest"), fields(status, "smokeTest")
        self._outcome.choose(owner, test.get("outcome"), _OUTCOMES)
        self._failures.say(owner, test.get("failures"))
        self._memory.say(owner, test.get("memory"))
        most, longest = wanted.get("maxMemory"), wanted.get("maxLatency")
        self._most_memory.say(owner, None if most is None else float(quantity(most)))
        self._longest.say(owner, None if longest is None else parse_duration(longest).total_seconds())
        requests = test.get("requests", ())
        self._expected.show(owner, {(one["name"],): float(one["ok"]) for one in requests})
        took = {one["name"]: one.get("latency") for one in requests}
        self._took.show(owner, {(name,): latency for name, latency in took.items() if latency is not None})

    def gone(self, owner: Owner) -> None:
        """Delete a release's series."""
        for family in self._families:
            family.gone(owner)
