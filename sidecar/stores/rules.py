"""The decisions of the stores that decide in Python, over the same documents as the scripts in `scripts/`.

Each function takes the stored values and the store's time, changes them, and names its decision. One contract suite
and one stateful test hold all stores to the same answers. Their clocks never go back, so nothing is mended here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sidecar.core.failures import FailureKind
from sidecar.core.model import Instant, Profile, Seconds, Token
from sidecar.core.policy import permit_wait_s
from sidecar.core.shared import Ask, Failed, Lesson, Pause, Remembered, State
from sidecar.stores.gate import (
    REMEMBERED_IDS,
    Gate,
    Lease,
    OutcomeName,
    StoredPause,
    detail_text,
    left_ms,
    ms,
)


class KeptToken(Protocol):
    """As much of the stored token as decisions need: it may be sealed."""

    @property
    def fence(self) -> int: ...

    @property
    def token_id(self) -> str: ...

    @property
    def issued_at(self) -> Instant: ...


@dataclass(slots=True)
class Stored:
    """One profile's two values. `token` is None when there is none or its time is over."""

    gate: Gate
    token: KeptToken | None
    now_ms: int

    @property
    def token_fence(self) -> int:
        return self.token.fence if self.token else 0


def claim(stored: Stored, ask: Ask, profile: Profile) -> tuple[OutcomeName, int]:
    """As `scripts/claim.lua`: the outcome, and for `held` and `over-budget` how long."""
    gate, now_ms = stored.gate, stored.now_ms
    _notice_epoch(gate, ask.epoch)
    gate.fence = max(gate.fence, ask.fence, ask.known)
    gate.grants_ms = _within_window(gate.grants_ms, now_ms, profile)
    gate.demand_ms = _within_window(gate.demand_ms, now_ms, profile)
    lease_left = left_ms(gate.lease, now_ms)
    if gate.lease and lease_left and gate.lease.nonce == ask.nonce:
        return "granted", 0
    if stored.token and stored.token.fence > ask.known and stored.token.token_id != gate.rejected_id:
        return "adopt", 0
    if lease_left:
        return "held", lease_left
    quarantine_left = gate.born_ms + ms(profile.lease_limit_s) - now_ms
    if gate.lost and quarantine_left > 0:
        return "held", quarantine_left
    if left_ms(gate.pause, now_ms) or left_ms(gate.refused.get(ask.credentials_id), now_ms):
        return "cooling-down", 0
    wait_ms = _budget_wait_ms(gate, now_ms, profile, on_demand=ask.on_demand)
    if wait_ms > 0:
        return "over-budget", wait_ms
    _grant(gate, now_ms, ask, profile)
    return "granted", 0


def commit(stored: Stored, nonce: str, token: Token, lesson: Lesson) -> OutcomeName:
    """As `scripts/commit.lua`; `token.issued_at` is by the store's clock."""
    gate = stored.gate
    gate.fence = max(gate.fence, token.fence)
    _end_lease(gate, nonce)
    if _same(token, stored.token):
        return "stored"
    if stored.token_fence >= token.fence:
        return "older"
    stored.token = token
    # A call that was granted before the partner said no has not taken that back, however late its token comes.
    if gate.pause is None or gate.pause.from_ms < token.fence:
        gate.pause = None
        gate.strikes = {}
    if (refused := gate.refused.get(token.credentials_id)) and refused.from_ms < token.fence:
        del gate.refused[token.credentials_id]
    others = [proven for proven in gate.proven if proven != token.credentials_id]
    gate.proven = [*others, token.credentials_id][-REMEMBERED_IDS:]
    gate.confirmed_id = token.token_id if gate.rejected_id == token.token_id else ""
    gate.rejected_id, gate.rejected_age_ms = "", 0
    gate.learned_s, gate.evidence_s = lesson.learned_s, lesson.evidence_s
    return "stored"


def fail(stored: Stored, failed: Failed) -> OutcomeName:
    """As `scripts/fail.lua`."""
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
    # A newer token came meanwhile, so this failure is history; a 429 is true for all.
    if not ours and stored.token_fence > failed.fence and pause.kind is not FailureKind.THROTTLED:
        return "failed"
    if pause.kind is FailureKind.REJECTED:
        before = gate.refused.get(failed.credentials_id)
        strikes = before.strikes + 1 if before else 1
        gate.refused[failed.credentials_id] = _pause_after(before, pause, strikes, now_ms)
        _drop_oldest_refusals(gate)
    else:
        strikes = gate.strikes[pause.kind.value] = gate.strikes.get(pause.kind.value, 0) + 1
        gate.pause = _pause_after(gate.pause, pause, strikes, now_ms)
    return "failed"


def reject(stored: Stored, token_id: str) -> OutcomeName:
    """As `scripts/reject.lua`."""
    gate, token = stored.gate, stored.token
    if token is None or token.token_id != token_id:
        return "late"
    if gate.confirmed_id == token_id:
        return "confirmed"
    if gate.rejected_id != token_id:
        gate.rejected_id = token_id
        gate.rejected_age_ms = max(0, stored.now_ms - round(token.issued_at * 1000))
    return "current"


def seed(stored: Stored, remembered: Remembered, offered: Token | None, profile: Profile) -> OutcomeName:
    """As `scripts/seed.lua`; `offered` is the remembered token, issued by the store's clock."""
    gate, now_ms, state = stored.gate, stored.now_ms, remembered.state
    _notice_epoch(gate, state.epoch)
    offered_fence = offered.fence if offered else 0
    gate.fence = max(gate.fence, state.fence, offered_fence)
    gate.refresh_dropped = max(gate.refresh_dropped, state.refresh_dropped)
    if offered and (offered_fence > stored.token_fence or (remembered.clock_stepped and _same(offered, stored.token))):
        stored.token = offered
    if gate.lease and gate.lease.fence == offered_fence:
        gate.lease = None
    # A token newer than all the replica knew has ended its pauses, but for a 429: that is true for all.
    history = stored.token_fence > state.fence
    if state.pause and (not history or state.pause.kind is FailureKind.THROTTLED):
        gate.pause = _later_of(gate.pause, state.pause, now_ms)
    if not history:
        for kind, strikes in state.strikes.items():
            gate.strikes[kind] = max(gate.strikes.get(kind, 0), strikes)
        for credentials_id, pause in state.refused.items():
            gate.refused[credentials_id] = _later_of(gate.refused.get(credentials_id), pause, now_ms)
        _drop_oldest_refusals(gate)
    gate.grants_ms = _longer_of(gate.grants_ms, state.grant_ages_s, now_ms, profile)
    gate.demand_ms = _longer_of(gate.demand_ms, state.demand_ages_s, now_ms, profile)
    gate.proven = gate.proven or list(state.proven)
    if (gate.learned_s, gate.evidence_s) == (0, 0):
        gate.learned_s, gate.evidence_s = state.lesson.learned_s, state.lesson.evidence_s
    if stored.token:
        _settle_verdict(gate, stored.token.token_id, state)
    return "seeded"


def _notice_epoch(gate: Gate, epoch: str) -> None:
    """The replica remembers another epoch: the data it saw was lost."""
    if epoch and epoch != gate.epoch:
        gate.lost = True


def _grant(gate: Gate, now_ms: int, ask: Ask, profile: Profile) -> None:
    gate.fence = max(gate.fence + 1, now_ms)
    gate.lease = Lease(ask.nonce, gate.fence, now_ms, now_ms + ms(profile.lease_limit_s))
    gate.grants_ms.append(now_ms)
    if ask.on_demand:
        gate.demand_ms.append(now_ms)


def _same(offered: Token, stored: KeptToken | None) -> bool:
    return stored is not None and (stored.fence, stored.token_id) == (offered.fence, offered.token_id)


def _end_lease(gate: Gate, nonce: str) -> None:
    if gate.lease and gate.lease.nonce == nonce:
        gate.lease = None


def _within_window(instants_ms: list[int], now_ms: int, profile: Profile) -> list[int]:
    return [at_ms for at_ms in instants_ms if now_ms - at_ms < ms(profile.budget.window_s)]


def _budget_wait_ms(gate: Gate, now_ms: int, profile: Profile, *, on_demand: bool) -> int:
    budget = profile.budget
    wait_s = permit_wait_s(_ages_s(gate.grants_ms, now_ms), budget.calls, budget.window_s)
    if on_demand:
        wait_s = max(wait_s, permit_wait_s(_ages_s(gate.demand_ms, now_ms), budget.on_demand_calls, budget.window_s))
    return ms(wait_s)


def _ages_s(instants_ms: list[int], now_ms: int) -> list[Seconds]:
    return [(now_ms - at_ms) / 1000 for at_ms in instants_ms]


def _pause_after(previous: StoredPause | None, pause: Pause, strikes: int, now_ms: int) -> StoredPause:
    """A running pause is never shortened: the one that ends later stays, with its kind."""
    new = StoredPause(pause.kind.value, now_ms, now_ms + ms(pause.left_s), strikes, detail_text(pause.detail))
    if previous and previous.until_ms > new.until_ms:
        if previous.kind != new.kind:
            return previous
        new.from_ms, new.until_ms = previous.from_ms, previous.until_ms
    return new


def _drop_oldest_refusals(gate: Gate) -> None:
    by_end = sorted(gate.refused.items(), key=lambda item: (item[1].until_ms, item[0]))
    gate.refused = dict(by_end[-REMEMBERED_IDS:])


def _later_of(stored: StoredPause | None, offered: Pause, now_ms: int) -> StoredPause:
    if stored and left_ms(stored, now_ms) >= ms(offered.left_s):
        return stored
    until_ms = now_ms + ms(offered.left_s)
    return StoredPause(offered.kind.value, now_ms, until_ms, offered.strikes, detail_text(offered.detail))


def _longer_of(stored_ms: list[int], ages_s: tuple[Seconds, ...], now_ms: int, profile: Profile) -> list[int]:
    offered = [now_ms - int(age_s * 1000) for age_s in ages_s]
    running = _within_window(offered, now_ms, profile)
    return running if len(running) > len(_within_window(stored_ms, now_ms, profile)) else stored_ms


def _settle_verdict(gate: Gate, token_id: str, state: State) -> None:
    """What is said of a token holds only for the one stored now; a confirmed one cannot be rejected."""
    if gate.confirmed_id != token_id:
        gate.confirmed_id = ""
    if state.confirmed_id == token_id:
        gate.confirmed_id = token_id
    if gate.rejected_id != token_id and state.rejected_id == token_id:
        gate.rejected_id, gate.rejected_age_ms = token_id, ms(state.rejected_age_s)
    if gate.rejected_id != token_id or gate.confirmed_id == token_id:
        gate.rejected_id, gate.rejected_age_ms = "", 0
