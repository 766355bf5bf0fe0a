"""What a store has forgotten: a failover may lose its last writes, and says so nowhere."""

from __future__ import annotations

from sidecar.core.model import Seconds
from sidecar.core.shared import Pause, State

NOTICED_S: Seconds = 1
"""A pause that is shorter than remembered by less than this was measured at another moment."""


def forgot(ours: State, theirs: State) -> bool:
    """Whether the store no longer knows something that it had told this replica.

    Epoch and fences never fall. A pause runs its time and a rejection stays, unless a newer token ended them.
    """
    if not ours.epoch:
        return False
    if theirs.epoch != ours.epoch or theirs.fence < ours.fence or theirs.refresh_dropped < ours.refresh_dropped:
        return True
    if theirs.token_fence > ours.token_fence:
        return False
    lost_pause = _shorter(theirs.pause, ours.pause)
    lost_refusal = any(_shorter(theirs.refused.get(pair), pause) for pair, pause in ours.refused.items())
    return lost_pause or lost_refusal or _rejection_lost(ours, theirs)


def _shorter(theirs: Pause | None, ours: Pause | None) -> bool:
    left_s = 0 if theirs is None else theirs.left_s
    return ours is not None and ours.left_s - left_s > NOTICED_S


def _rejection_lost(ours: State, theirs: State) -> bool:
    rejected = ours.rejected_id
    return rejected != "" and rejected == theirs.token_id and rejected not in (theirs.rejected_id, theirs.confirmed_id)
