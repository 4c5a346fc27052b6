"""Whether somebody else has the release's requests, or the place of its HTTPRoute or Service. Pure."""

from modelops.domain.release import placing
from modelops.domain.release.objects import release_labels
from modelops.domain.release.observed import Observed


def taken(seen: Observed) -> tuple[str, str] | None:
    """Return reason and remedy if something else stands in the way; None if nothing does."""
    if seen.ahead:
        remedy = "set spec.traffic.hostnames to what is this release's alone, or take the other route away"
        return "RouteTaken", f"{seen.ahead}; {remedy}"
    if seen.route is None or release_labels(seen.owner).items() <= (seen.route["metadata"].get("labels") or {}).items():
        return None
    without_gateway = placing.is_used(seen.spec)
    if not without_gateway and seen.status.stable is not None:
        # Served through it already: its own, whoever took the labels away.
        return None
    reason, what = ("ServiceTaken", "a Service") if without_gateway else ("RouteTaken", "an HTTPRoute")
    words = f"there is {what} {seen.owner.name} that this release did not make"
    return reason, f"{words}; delete it, or give the release another name"
