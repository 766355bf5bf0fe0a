"""The decisions of the stores that decide in Python, over the same documents as the scripts in `redis/lua/`.

Each function takes the stored values and the store's time, changes the values and returns its decision. One contract
suite and one stateful test check that all stores decide alike. Their clocks never go back, so nothing is repaired here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sidecar.core.errors import FailureKind
from sidecar.core.model import Profile, Seconds, Token
from sidecar.core.policy import budget_wait_s
from sidecar.core.shared_state import ClaimRequest, FailureReport, LearnedLifetime, Pause, ReplicaMemory
from sidecar.stores.documents import (
    Coordination,
    Lease,
    OutcomeName,
    StoredConfirmation,
    StoredCount,
    StoredGrant,
    StoredLearnedLifetime,
    StoredPause,
    StoredReport,
    detail_text,
    left_ms,
    ms,
)
from sidecar.stores.merging import (
    keep_few_credential_blocks,
    keep_few_proven,
    keep_running,
    merge_grants,
    merge_pauses,
    settle_verdict,
)


@dataclass(frozen=True, slots=True)
class SealedToken:
    """A stored token that is opened only for a replica that does not have it. `opened` raises `UnsealError`."""

    fence: int
    token_id: str
    opened: Callable[[], Token]


@dataclass(slots=True)
class Stored:
    """One profile's two values. `token` is None if there is none or it is past its `token_gone_ms`."""

    gate: Coordination
    token: Token | SealedToken | None
    now_ms: int

    @property
    def token_fence(self) -> int:
        return self.token.fence if self.token else 0


def claim(stored: Stored, ask: ClaimRequest, profile: Profile) -> tuple[OutcomeName, int]:
    """As `lua/claim.lua`. Return the outcome, and the wait in milliseconds for `held` and `over-budget`."""
    gate, now_ms = stored.gate, stored.now_ms
    _notice_epoch(gate, ask.epoch)
    gate.fence = max(gate.fence, ask.fence, ask.known)
    gate.grants = keep_running(gate.grants, now_ms, profile)
    lease_left = left_ms(gate.lease, now_ms)
    if gate.lease and lease_left and gate.lease.nonce == ask.nonce:
        return "granted", 0
    reported_id = gate.reported.id if gate.reported else ""
    if stored.token and stored.token.fence > ask.known and stored.token.token_id != reported_id:
        return "adopt", 0
    if lease_left:
        return "held", lease_left
    quarantine_left = gate.born_ms + ms(profile.lease_limit_s) - now_ms
    if gate.lost and quarantine_left > 0:
        return "held", quarantine_left
    if left_ms(gate.pause, now_ms) or left_ms(gate.credential_blocks.get(ask.credentials_id), now_ms):
        return "cooling-down", 0
    wait_ms = _budget_wait_ms(gate, now_ms, profile, caller_requested=ask.caller_requested)
    if wait_ms > 0:
        return "over-budget", wait_ms
    _grant(gate, now_ms, ask, profile)
    return "granted", 0


def commit(stored: Stored, nonce: str, token: Token, learned: LearnedLifetime) -> OutcomeName:
    """As `lua/commit.lua`."""
    gate = stored.gate
    # A document that never issued this fence, or lost it in a failover, cannot show what was recorded before its grant.
    over_below = token.fence if token.fence <= gate.fence else 0
    gate.fence = max(gate.fence, token.fence)
    _end_lease(gate, nonce)
    if _same(token, stored.token):
        return "stored"
    if stored.token_fence >= token.fence:
        return "older"
    stored.token = token
    # Facts recorded before this call's grant are over. Facts recorded since stay, however late the token arrives.
    if gate.pause and gate.pause.fence < over_below:
        gate.pause = None
    if (refused := gate.credential_blocks.get(token.credentials_id)) and refused.fence < over_below:
        del gate.credential_blocks[token.credentials_id]
    gate.failure_counts = {
        kind: failures for kind, failures in gate.failure_counts.items() if failures.fence >= over_below
    }
    gate.proven[token.credentials_id] = max(gate.proven.get(token.credentials_id, 0), token.fence)
    keep_few_proven(gate)
    _judge_report(gate, token, over_below)
    if gate.learned.fence < token.fence:
        gate.learned = StoredLearnedLifetime(token.fence, learned.learned_s, learned.first_report_age_s)
    return "stored"


def fail(stored: Stored, failed: FailureReport) -> OutcomeName:
    """As `lua/fail.lua`."""
    gate, now_ms = stored.gate, stored.now_ms
    gate.fence = max(gate.fence, failed.fence)
    gate.refresh_dropped = max(gate.refresh_dropped, failed.drop_refresh)
    if gate.failed_nonce == failed.nonce:
        return "failed"
    gate.failed_nonce = failed.nonce
    ours = gate.lease is not None and gate.lease.nonce == failed.nonce and left_ms(gate.lease, now_ms) > 0
    _end_lease(gate, failed.nonce)
    if (pause := failed.pause) is None:
        return "failed"
    # A newer token was stored meanwhile, so this failure is outdated. A 429 applies to all replicas.
    if not ours and stored.token_fence > failed.fence and pause.kind is not FailureKind.THROTTLED:
        return "failed"
    if pause.kind is FailureKind.UNAUTHORIZED:
        before = gate.credential_blocks.get(failed.credentials_id)
        count = before.consecutive_failures + 1 if before else 1
        gate.credential_blocks[failed.credentials_id] = _pause_after(gate, before, pause, count, now_ms)
        keep_few_credential_blocks(gate)
    else:
        failures = gate.failure_counts.get(pause.kind.value, StoredCount(0, 0))
        counted = gate.failure_counts[pause.kind.value] = StoredCount(failures.count + 1, gate.fence)
        gate.pause = _pause_after(gate, gate.pause, pause, counted.count, now_ms)
    return "failed"


def reject(stored: Stored, token_id: str, age_s: Seconds) -> OutcomeName:
    """As `lua/reject.lua`."""
    gate, token = stored.gate, stored.token
    if token is None or token.token_id != token_id:
        return "late"
    if gate.confirmed and gate.confirmed.id == token_id:
        return "confirmed"
    if gate.reported is None or gate.reported.id != token_id:
        gate.reported = StoredReport(token_id, gate.fence, ms(age_s))
    return "current"


def seed(stored: Stored, remembered: ReplicaMemory, profile: Profile) -> OutcomeName:
    """As `lua/seed.lua`."""
    gate, now_ms, state, offered = stored.gate, stored.now_ms, remembered.state, remembered.token
    _notice_epoch(gate, state.epoch)
    offered_fence = offered.fence if offered else 0
    gate.fence = max(gate.fence, state.fence, offered_fence)
    gate.refresh_dropped = max(gate.refresh_dropped, state.refresh_dropped)
    if offered and (offered_fence > stored.token_fence or (remembered.clock_stepped and _same(offered, stored.token))):
        stored.token = offered
    if gate.lease and gate.lease.fence == offered_fence:
        gate.lease = None
    merge_pauses(gate, state, stored.token_fence, now_ms)
    merge_grants(gate, state.grants, now_ms, clock_stepped=remembered.clock_stepped)
    gate.grants = keep_running(gate.grants, now_ms, profile)
    if state.learned.fence > gate.learned.fence:
        gate.learned = StoredLearnedLifetime(
            state.learned.fence, state.learned.learned_s, state.learned.first_report_age_s
        )
    if stored.token:
        settle_verdict(gate, stored.token.token_id, state)
    return "seeded"


def _notice_epoch(gate: Coordination, epoch: str) -> None:
    """Mark the data as lost if the replica remembers another epoch."""
    if epoch and epoch != gate.epoch:
        gate.lost = True


def _grant(gate: Coordination, now_ms: int, ask: ClaimRequest, profile: Profile) -> None:
    fence = max(gate.fence + 1, now_ms)
    gate.fence = fence + fence % 2
    gate.lease = Lease(ask.nonce, gate.fence, now_ms, now_ms + ms(profile.lease_limit_s))
    gate.grants.append(StoredGrant(gate.fence, now_ms, ask.caller_requested))


def _judge_report(gate: Coordination, token: Token, over_below: int) -> None:
    """Settle a report: it was mistaken if a call that was granted after it returned the reported token again."""
    reported, gate.confirmed = gate.reported, None
    if reported is None or reported.id != token.token_id:
        gate.reported = None
    elif reported.fence < over_below:
        gate.reported, gate.confirmed = None, StoredConfirmation(token.token_id, token.fence)


def _same(offered: Token, stored: Token | SealedToken | None) -> bool:
    return stored is not None and (stored.fence, stored.token_id) == (offered.fence, offered.token_id)


def _end_lease(gate: Coordination, nonce: str) -> None:
    if gate.lease and gate.lease.nonce == nonce:
        gate.lease = None


def _budget_wait_ms(gate: Coordination, now_ms: int, profile: Profile, *, caller_requested: bool) -> int:
    ages_s = ((now_ms - grant.at_ms) / 1000 for grant in gate.grants)
    caller_ages_s = ((now_ms - grant.at_ms) / 1000 for grant in gate.grants if grant.caller_requested)
    return ms(budget_wait_s(ages_s, caller_ages_s, profile.budget, caller_requested=caller_requested))


def _pause_after(
    gate: Coordination, previous: StoredPause | None, pause: Pause, failures: int, now_ms: int
) -> StoredPause:
    """A running pause is never shortened: the one that ends later stays, with its kind."""
    until_ms, detail = now_ms + ms(pause.left_s), detail_text(pause.detail)
    new = StoredPause(pause.kind.value, gate.fence, now_ms, until_ms, failures, detail)
    if previous and previous.until_ms > new.until_ms:
        if previous.kind != new.kind:
            return previous
        new.from_ms, new.until_ms = previous.from_ms, previous.until_ms
    return new
