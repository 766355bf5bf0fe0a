"""What a replica knows of the store: its last state, with what the replica recorded itself while the store was down.

The rules of recording are functions from state to state. An outcome ends only what was recorded below the fence of its
own call. No pause shortens another. The stores apply the same rules (`stores/decisions.py`) to what replicas send them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sidecar.core.errors import FailureKind
from sidecar.core.model import Budget, MonotonicTime, Seconds, Token
from sidecar.core.policy import TICK_S, budget_wait_s
from sidecar.core.shared_state import (
    Confirmed,
    FailureCount,
    FailureReport,
    LearnedLifetime,
    Pause,
    Reported,
    State,
    is_leased,
)

MOST_CREDENTIAL_BLOCKS = 8
"""Twice what a store keeps."""
NOTICED_S: Seconds = 1
"""Two durations that differ by less than this were measured at different times."""


@dataclass(frozen=True, slots=True)
class StoreMirror:
    """The store's `state` as of `observed_at`, and the account's budget. Every `now` is the present local time."""

    state: State
    observed_at: MonotonicTime
    budget: Budget

    def at(self, now: MonotonicTime) -> State:
        """Return the state with every duration brought forward to now."""
        return self.state.after(now - self.observed_at, self.budget.window_s)

    def pause(self, now: MonotonicTime) -> Pause | None:
        """The pause that is running."""
        pause = self.at(now).pause
        return pause if is_running(pause) else None

    def credential_blocks(self, now: MonotonicTime) -> Mapping[str, Pause]:
        """The running credential blocks, by credentials id."""
        return {key: pause for key, pause in self.at(now).credential_blocks.items() if is_running(pause)}

    def consecutive_failures(self, kind: FailureKind, credentials_id: str) -> int:
        """How many failures of this kind there were since the last token."""
        if kind is FailureKind.UNAUTHORIZED:
            block = self.state.credential_blocks.get(credentials_id)
            return 0 if block is None else block.consecutive_failures
        failures = self.state.failure_counts.get(kind.value)
        return 0 if failures is None else failures.count

    def lease_left_s(self, now: MonotonicTime) -> Seconds:
        return self.at(now).lease_left_s

    def permit_wait_s(self, now: MonotonicTime, *, caller_requested: bool) -> Seconds:
        """How long until the fleet's budget has room again; 0 while it has."""
        grants = self.at(now).grants
        ages_s, caller_ages_s = (one.age_s for one in grants), (one.age_s for one in grants if one.caller_requested)
        return budget_wait_s(ages_s, caller_ages_s, self.budget, caller_requested=caller_requested)

    def permits_left(self, now: MonotonicTime) -> int:
        return max(0, self.budget.calls - len(self.at(now).grants))


def has_lost_facts(theirs: State, ours: State, window_s: Seconds) -> bool:
    """Whether the store, in the state `theirs`, has lost a fact that this replica had read from it.

    A failover may lose a store's last writes without an error. The epoch stays and fences never fall. A permit counts
    until it leaves the budget's `window_s`. A pause runs its time and a report stays, unless a token that was granted
    later ended them.
    """
    if not ours.epoch:
        return False
    if theirs.epoch != ours.epoch or theirs.fence < ours.fence or theirs.refresh_dropped < ours.refresh_dropped:
        return True
    known = {grant.fence for grant in theirs.grants}
    return (
        any(grant.fence not in known and grant.age_s < window_s - NOTICED_S for grant in ours.grants)
        or _pause_lost(theirs, ours, theirs.pause, ours.pause)
        or any(
            _pause_lost(theirs, ours, theirs.credential_blocks.get(key), pause)
            for key, pause in ours.credential_blocks.items()
        )
        or _report_lost(theirs, ours.reported)
    )


def _pause_lost(theirs: State, ours: State, their_pause: Pause | None, our_pause: Pause | None) -> bool:
    if our_pause is None or theirs.token_fence > max(ours.token_fence, our_pause.fence):
        return False
    left_s = 0 if their_pause is None else their_pause.left_s
    return our_pause.left_s - left_s > NOTICED_S


def _report_lost(theirs: State, ours: Reported | None) -> bool:
    if ours is None or ours.token_id != theirs.token_id or theirs.reported is not None:
        return False
    return theirs.confirmed is None or theirs.confirmed.fence <= ours.fence


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
        failure_counts={
            kind: failures for kind, failures in state.failure_counts.items() if failures.fence >= token.fence
        },
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
        block = _longer(state.credential_blocks.get(failed.credentials_id), pause)
        return replace(state, credential_blocks={**state.credential_blocks, failed.credentials_id: block})
    counts = {**state.failure_counts, pause.kind.value: FailureCount(pause.consecutive_failures, fence)}
    return replace(state, pause=_longer(state.pause, pause), failure_counts=counts)


def with_heard(ours: State, theirs: State, held_id: str) -> State:
    """Return our state with the facts of a store's reply that must not be lost: pauses, and a report of the held token.

    Of two pauses of the same thing the one that ends later counts. Of the credential blocks only the
    `MOST_CREDENTIAL_BLOCKS` that end last are kept.
    """
    blocks = {
        **ours.credential_blocks,
        **{key: _later(ours.credential_blocks.get(key), pause) for key, pause in theirs.credential_blocks.items()},
    }
    last = sorted(blocks.items(), key=lambda item: item[1].left_s)[-MOST_CREDENTIAL_BLOCKS:]
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
