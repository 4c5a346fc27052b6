"""The alias of the promoted version, where a promotion did not come to its end or was taken back. Pure.

A promotion moves the alias before it is written down, so that a crash between the two repeats both. What else moves it
comes after all other actions, in a turn of its own: a registry that is away must not keep a rollback from the gateway.
So it is if the canary ended or lost its weight after the alias was moved (a newer version or other steps came, somebody
aborted it), if somebody gave a command in the turn of the promotion, which is written down first, and in a rollback
window.
"""

from dataclasses import replace

from modelops.domain.plan import SetAlias
from modelops.domain.release.observed import Observed
from modelops.domain.release.turn import Turn


def alias_set_right(seen: Observed, turn: Turn) -> Turn:
    """Return the turn with the alias on what serves, if it may be elsewhere.

    Args:
        seen: with the status from before.
        turn: with what has been decided on.
    """
    before, status = seen.status, turn.status
    stable = status.stable
    if stable is None:
        return turn
    same = before.canary is not None and status.canary is not None and before.canary.revision == status.canary.revision
    ahead = before.canary is not None and before.desired_weight == 100 and stable == before.stable
    if (ahead and not (same and status.desired_weight == 100)) or (turn.decisive and stable != before.stable):
        return turn.with_status(alias_in_doubt=True)
    if not status.alias_in_doubt or turn.decisive:
        return turn
    model = seen.spec.model
    right = SetAlias(model.name, model.promoted_alias, stable.version)
    return replace(turn.with_status(alias_in_doubt=None), actions=(*turn.actions, right))
