"""Merges a replica's memory into what is stored, as the second half of `lua/seed.lua` does.

A merge is a union or a maximum by fence. No list and no fact replaces another as a whole. So a delayed offer removes
nothing, and facts that only one side has are kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.core.errors import FailureKind
from sidecar.core.model import Profile
from sidecar.core.shared_state import Confirmed, FailureCount, Grant, Pause, State
from sidecar.stores.documents import (
    MOST_GRANTS,
    REMEMBERED_IDS,
    Coordination,
    StoredConfirmation,
    StoredCount,
    StoredGrant,
    StoredPause,
    StoredReport,
    detail_text,
    left_ms,
    ms,
)


def keep_running(grants: list[StoredGrant], now_ms: int, profile: Profile) -> list[StoredGrant]:
    """Return the permits within the window, oldest first, and never more than any budget allows."""
    running = [grant for grant in grants if now_ms - grant.at_ms < ms(profile.budget.window_s)]
    return sorted(running, key=lambda grant: (grant.at_ms, grant.fence))[-MOST_GRANTS:]


def keep_few_credential_blocks(gate: Coordination) -> None:
    by_end = sorted(gate.credential_blocks.items(), key=lambda item: (item[1].until_ms, item[0]))
    gate.credential_blocks = dict(by_end[-REMEMBERED_IDS:])


def keep_few_proven(gate: Coordination) -> None:
    by_fence = sorted(gate.proven.items(), key=lambda item: (item[1], item[0]))
    gate.proven = dict(by_fence[-REMEMBERED_IDS:])


def merge_grants(gate: Coordination, offered: Iterable[Grant], now_ms: int, *, clock_stepped: bool) -> None:
    """Add the permits that are not stored: they were spent too.

    The stored instant counts, unless the store's clock was set: then the later one counts.
    """
    stored = {grant.fence: grant for grant in gate.grants}
    for grant in offered:
        # Rounded down, so that a permit is never dropped before its time.
        at_ms = now_ms - int(grant.age_s * 1000)
        if grant.fence not in stored:
            gate.grants.append(StoredGrant(grant.fence, at_ms, grant.caller_requested))
        elif clock_stepped:
            stored[grant.fence].at_ms = max(stored[grant.fence].at_ms, at_ms)


def merge_pauses(gate: Coordination, state: State, token_fence: int, now_ms: int) -> None:
    """Merge pauses, failure counts and the credentials that obtained a token or were rejected."""
    if state.pause and not _is_ended(state.pause, token_fence):
        gate.pause = _later_of(gate, gate.pause, state.pause, now_ms)
    for kind, failures in state.failure_counts.items():
        if failures.fence >= token_fence:
            gate.failure_counts[kind] = _sum_of(gate.failure_counts.get(kind), failures)
    for credentials_id, fence in state.proven.items():
        gate.proven[credentials_id] = max(gate.proven.get(credentials_id, 0), fence)
    for credentials_id, pause in state.credential_blocks.items():
        if not _is_ended(pause, gate.proven.get(credentials_id, 0)):
            gate.credential_blocks[credentials_id] = _later_of(
                gate, gate.credential_blocks.get(credentials_id), pause, now_ms
            )
    keep_few_credential_blocks(gate)
    keep_few_proven(gate)


def settle_verdict(gate: Coordination, token_id: str, state: State) -> None:
    """Keep a report or confirmation only for the token stored now. Of a report and a confirmation the later counts."""
    if gate.reported and gate.reported.id != token_id:
        gate.reported = None
    if gate.confirmed and gate.confirmed.id != token_id:
        gate.confirmed = None
    if state.confirmed and state.confirmed.token_id == token_id and _is_newer(state.confirmed, gate.confirmed):
        gate.confirmed = StoredConfirmation(token_id, state.confirmed.fence)
    offered = state.reported if state.reported and state.reported.token_id == token_id else None
    if offered and gate.reported:
        gate.reported.fence = max(gate.reported.fence, offered.fence)
    elif offered and not (gate.confirmed and gate.confirmed.fence > offered.fence):
        gate.reported = StoredReport(token_id, gate.fence, ms(offered.age_s))
    if gate.reported and gate.confirmed:
        if gate.confirmed.fence > gate.reported.fence:
            gate.reported = None
        else:
            gate.confirmed = None


def _is_newer(offered: Confirmed, stored: StoredConfirmation | None) -> bool:
    return stored is None or offered.fence > stored.fence


def _is_ended(offered: Pause, newer_fence: int) -> bool:
    """Return whether a newer token has ended the pause. It does not end a 429, which applies to all replicas."""
    return newer_fence > offered.fence and offered.kind is not FailureKind.THROTTLED


def _sum_of(stored: StoredCount | None, offered: FailureCount) -> StoredCount:
    if stored is None:
        return StoredCount(offered.count, offered.fence)
    return StoredCount(max(stored.count, offered.count), max(stored.fence, offered.fence))


def _later_of(gate: Coordination, stored: StoredPause | None, offered: Pause, now_ms: int) -> StoredPause:
    """Return the later pause. An offered one is recorded at the highest fence, so a running call does not end it."""
    if stored and left_ms(stored, now_ms) >= ms(offered.left_s):
        return stored
    until_ms, detail = now_ms + ms(offered.left_s), detail_text(offered.detail)
    return StoredPause(offered.kind.value, gate.fence, now_ms, until_ms, offered.consecutive_failures, detail)
