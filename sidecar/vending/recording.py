"""What a replica records about its own calls and reports while the store is down: functions from state to state.

An outcome ends only what was recorded below the fence of its own call. No pause shortens another. The stores apply the
same rules (`stores/decisions.py`) to what replicas send them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sidecar.core.errors import FailureKind, PartnerDetail
from sidecar.core.model import MonotonicTime, Token
from sidecar.core.policy import TICK_S
from sidecar.core.shared_state import Confirmed, FailureCount, FailureReport, LearnedLifetime, Pause, State, is_leased

MOST_CREDENTIAL_BLOCKS = 8
"""Twice what a store keeps."""


@dataclass(frozen=True, slots=True)
class OwnFailure:
    """A failed partner call of this replica, and when it ended. For display only."""

    kind: FailureKind
    detail: PartnerDetail | None
    ended: MonotonicTime


def with_success(state: State, token: Token, learned: LearnedLifetime) -> State:
    """Return the state after our call brought this token.

    A pause that still runs stays: it was not known when the call was sent, or there would have been no call. A report
    of the token that came is confirmed as mistaken, if it is older than the lease of the call. A call without a lease
    confirms nothing: the store has not seen its fence, so nothing there is ordered by it.
    """
    reported, confirmed = state.reported, None
    if reported is None or reported.token_id != token.token_id:
        reported = None
    elif is_leased(token.fence) and reported.fence < token.fence:
        reported, confirmed = None, Confirmed(token.token_id, token.fence)
    ours = token.credentials_id
    return replace(
        state,
        fence=max(state.fence, token.fence),
        pause=state.pause if is_running(state.pause) else None,
        credential_blocks={
            key: pause for key, pause in state.credential_blocks.items() if key != ours or is_running(pause)
        },
        strikes={kind: failures for kind, failures in state.strikes.items() if failures.fence >= token.fence},
        proven={**state.proven, ours: token.fence},
        reported=reported,
        confirmed=confirmed,
        learned=replace(learned, fence=token.fence),
    )


def with_failure(state: State, failed: FailureReport) -> State:
    """Return the state after our call ended without a token."""
    fence = max(failed.fence, state.fence)
    # By the fence, the store detects whether a newer token has superseded this failure.
    state = replace(state, fence=fence, refresh_dropped=max(failed.drop_refresh, state.refresh_dropped))
    if failed.pause is None:
        return state
    pause = replace(failed.pause, fence=fence)
    if pause.kind is FailureKind.UNAUTHORIZED:
        rejection = _longer(state.credential_blocks.get(failed.credentials_id), pause)
        return replace(state, credential_blocks={**state.credential_blocks, failed.credentials_id: rejection})
    strikes = {**state.strikes, pause.kind.value: FailureCount(pause.strikes, fence)}
    return replace(state, pause=_longer(state.pause, pause), strikes=strikes)


def with_heard(ours: State, theirs: State, held_id: str) -> State:
    """Return our state with the facts of a store's reply that must not be lost: pauses, and a report of the held token.

    Of two pauses of the same thing the one that ends later counts. Of the credential blocks only the
    `MOST_CREDENTIAL_BLOCKS` that end last are kept.
    """
    refused = {
        **ours.credential_blocks,
        **{key: _later(ours.credential_blocks.get(key), pause) for key, pause in theirs.credential_blocks.items()},
    }
    last = sorted(refused.items(), key=lambda item: item[1].left_s)[-MOST_CREDENTIAL_BLOCKS:]
    pause = ours.pause if theirs.pause is None else _later(ours.pause, theirs.pause)
    is_ours = theirs.reported is not None and theirs.reported.token_id == held_id
    return replace(
        ours, pause=pause, credential_blocks=dict(last), reported=theirs.reported if is_ours else ours.reported
    )


def is_running(pause: Pause | None) -> bool:
    return pause is not None and pause.left_s > TICK_S


def _later(ours: Pause | None, theirs: Pause) -> Pause:
    return ours if ours is not None and ours.left_s > theirs.left_s else theirs


def _longer(running: Pause | None, new: Pause) -> Pause:
    """Return the pause that ends later. Of two of one kind, it counts as recorded with the latest failure."""
    if running is None or running.left_s <= new.left_s:
        return new
    return replace(new, left_s=running.left_s) if running.kind is new.kind else running
