"""Detects data that a store has lost: a failover may lose its last writes without an error."""

from __future__ import annotations

from sidecar.core.model import Seconds
from sidecar.core.shared_state import Pause, State

NOTICED_S: Seconds = 1
"""Two durations that differ by less than this were measured at different moments."""


def forgot(ours: State, theirs: State, window_s: Seconds) -> bool:
    """Whether the store has lost a fact that this replica had read from it. `window_s` is the budget's.

    The epoch stays and fences never fall. A permit counts until it leaves the window. A pause runs its time and a
    report stays, unless a token that was granted later ended them.
    """
    if not ours.epoch:
        return False
    if theirs.epoch != ours.epoch or theirs.fence < ours.fence or theirs.refresh_dropped < ours.refresh_dropped:
        return True
    return (
        _grant_lost(ours, theirs, window_s)
        or _pause_lost(ours, theirs, ours.pause, theirs.pause)
        or any(
            _pause_lost(ours, theirs, pause, theirs.credential_blocks.get(key))
            for key, pause in ours.credential_blocks.items()
        )
        or _report_lost(ours, theirs)
    )


def _grant_lost(ours: State, theirs: State, window_s: Seconds) -> bool:
    known = {grant.fence for grant in theirs.grants}
    return any(grant.fence not in known and grant.age_s < window_s - NOTICED_S for grant in ours.grants)


def _pause_lost(ours: State, theirs: State, our_pause: Pause | None, their_pause: Pause | None) -> bool:
    if our_pause is None or theirs.token_fence > max(ours.token_fence, our_pause.fence):
        return False
    left_s = 0 if their_pause is None else their_pause.left_s
    return our_pause.left_s - left_s > NOTICED_S


def _report_lost(ours: State, theirs: State) -> bool:
    if ours.reported is None or ours.reported.token_id != theirs.token_id or theirs.reported is not None:
        return False
    return theirs.confirmed is None or theirs.confirmed.fence <= ours.reported.fence
