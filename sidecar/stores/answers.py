"""What a stored view means to a replica: the same words for both stores."""

from __future__ import annotations

import msgspec

from sidecar.core.errors import SidecarError
from sidecar.core.failures import FailureKind, PartnerDetail
from sidecar.core.model import Profile, Token
from sidecar.core.shared import (
    Adopt,
    Ask,
    Claimed,
    CoolingDown,
    Granted,
    Held,
    Lesson,
    Outcome,
    OverBudget,
    Pause,
    State,
)
from sidecar.stores.gate import Gate, StoredPause, View, left_ms


class ContradictionError(SidecarError):
    """An answer that no script of ours gives: its outcome and its state do not go together."""


def state_of(view: View, profile: Profile, token: Token | None) -> State:
    """What a replica is told; `token` is the stored one, opened, where it is to be told."""
    now_ms, gate, stored = view.now_ms, view.gate or Gate(epoch="", born_ms=0), view.token
    return State(
        now=now_ms / 1000,
        epoch=gate.epoch,
        fence=gate.fence,
        token=token,
        token_fence=stored.fence if stored else 0,
        token_id=stored.id if stored else "",
        token_issued_at=stored.issued_ms / 1000 if stored else 0,
        lease_owner=gate.lease.nonce.partition("/")[0] if gate.lease and left_ms(gate.lease, now_ms) else "",
        lease_left_s=left_ms(gate.lease, now_ms) / 1000,
        pause=_pause_of(gate.pause, now_ms) if gate.pause else None,
        strikes=dict(gate.strikes),
        refused={credentials_id: _pause_of(pause, now_ms) for credentials_id, pause in gate.refused.items()},
        proven=tuple(gate.proven),
        rejected_id=gate.rejected_id,
        rejected_age_s=gate.rejected_age_ms / 1000,
        confirmed_id=gate.confirmed_id,
        refresh_dropped=gate.refresh_dropped,
        lesson=Lesson(learned_s=gate.learned_s, evidence_s=gate.evidence_s),
        grant_ages_s=_ages_s(gate.grants_ms, now_ms, profile),
        demand_ages_s=_ages_s(gate.demand_ms, now_ms, profile),
        damaged=tuple(view.damaged),
    )


def claimed(view: View, ask: Ask, state: State) -> Claimed:
    """A claim's answer in the core's words. Raises `ContradictionError`."""
    return Claimed(_outcome(view, ask, state), state)


def _outcome(view: View, ask: Ask, state: State) -> Outcome:
    left_s = view.left_ms / 1000
    match view.outcome:
        case "granted":
            # What is left, not the whole: a repeated ask must not stretch the lease beyond the store's.
            lease = view.gate.lease if view.gate else None
            if lease is None:
                raise ContradictionError
            return Granted(lease.fence, left_ms(lease, view.now_ms) / 1000)
        case "adopt":
            return Adopt()
        case "held":
            return Held(left_s)
        case "cooling-down":
            pauses = [pause for pause in (state.pause, state.refused.get(ask.credentials_id)) if pause]
            if not pauses:
                raise ContradictionError
            return CoolingDown(max(pauses, key=lambda pause: pause.left_s))
        case _:
            return OverBudget(left_s)


def _detail_of(text: str) -> PartnerDetail | None:
    try:
        return msgspec.json.decode(text, type=PartnerDetail) if text else None
    except msgspec.DecodeError:
        return None


def _kind_of(name: str) -> FailureKind:
    """A kind this version does not know came from a later one: some back-off."""
    return FailureKind(name) if name in set(FailureKind) else FailureKind.SERVER_ERROR


def _pause_of(pause: StoredPause, now_ms: int) -> Pause:
    return Pause(
        kind=_kind_of(pause.kind),
        left_s=left_ms(pause, now_ms) / 1000,
        strikes=pause.strikes,
        detail=_detail_of(pause.detail),
    )


def _ages_s(instants_ms: list[int], now_ms: int, profile: Profile) -> tuple[float, ...]:
    ages_s = (max(0, now_ms - at_ms) / 1000 for at_ms in instants_ms)
    return tuple(age_s for age_s in ages_s if age_s < profile.budget.window_s)
