"""Converts a store's reply into the core's types, the same way for all stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from sidecar.core.errors import FailureKind, PartnerDetail, SidecarError
from sidecar.core.model import Profile, Token
from sidecar.core.shared_state import (
    Adopt,
    ClaimRequest,
    ClaimResult,
    Confirmed,
    CoolingDown,
    FailureCount,
    Grant,
    Granted,
    Held,
    LearnedLifetime,
    Outcome,
    OverBudget,
    Pause,
    Rejection,
    Reported,
    State,
)
from sidecar.stores.documents import (
    Coordination,
    StoredGrant,
    StoredPause,
    StoredToken,
    StoreReply,
    left_ms,
)
from sidecar.stores.sealing import UnsealError

Unseal: TypeAlias = Callable[[StoredToken], Token]
"""Opens the stored token. Raises `UnsealError`."""


class ContradictionError(SidecarError):
    """A reply that no script of this program sends: its outcome contradicts its state."""


def state_of(reply: StoreReply, profile: Profile, known: int, unseal: Unseal) -> State:
    """Return the state for a replica whose newest token has the fence `known` (0: none); it gets a newer one.

    A newer token that cannot be opened here counts as missing.
    """
    now_ms, gate, stored = reply.now_ms, reply.gate or Coordination(epoch="", born_ms=0), reply.token
    reported, confirmed = gate.reported, gate.confirmed
    token, damaged = None, tuple(reply.damaged)
    if stored is not None and stored.fence > known:
        try:
            token = unseal(stored)
        except UnsealError:
            stored, damaged = None, (*damaged, "seal")
    return State(
        now=now_ms / 1000,
        epoch=gate.epoch,
        fence=gate.fence,
        token=token,
        token_fence=stored.fence if stored else 0,
        token_id=stored.id if stored else "",
        lease_owner=gate.lease.nonce.partition("/")[0] if gate.lease and left_ms(gate.lease, now_ms) else "",
        lease_left_s=left_ms(gate.lease, now_ms) / 1000,
        pause=_pause_of(gate.pause, now_ms) if gate.pause else None,
        failure_counts={
            kind: FailureCount(failures.count, failures.fence) for kind, failures in gate.failure_counts.items()
        },
        credential_blocks={
            credentials_id: _pause_of(pause, now_ms) for credentials_id, pause in gate.credential_blocks.items()
        },
        proven=dict(gate.proven),
        reported=Reported(reported.id, reported.fence, reported.age_ms / 1000) if reported else None,
        confirmed=Confirmed(confirmed.id, confirmed.fence) if confirmed else None,
        refresh_dropped=gate.refresh_dropped,
        learned=LearnedLifetime(
            learned_s=gate.learned.learned_s,
            first_report_age_s=gate.learned.first_report_age_s,
            fence=gate.learned.fence,
        ),
        grants=_grants_of(gate.grants, now_ms, profile),
        damaged=damaged,
    )


def claimed(reply: StoreReply, ask: ClaimRequest, state: State) -> ClaimResult:
    """Return a claim's result in the core's types. Raises `ContradictionError`."""
    return ClaimResult(_outcome(reply, ask, state), state)


def is_unreadable_offer(result: ClaimResult) -> bool:
    """Return whether the claim has to be repeated past the offered token: it must not be offered for ever."""
    return isinstance(result.outcome, Adopt) and result.state.token is None


def rejection(reply: StoreReply, profile: Profile, unseal: Unseal) -> Rejection:
    """Return a report's result. Only a late report is answered with the stored token: other reporters have it."""
    known = reply.token.fence if reply.token and reply.outcome != "late" else 0
    state = state_of(reply, profile, known, unseal)
    return Rejection(current=reply.outcome == "current", confirmed=reply.outcome == "confirmed", state=state)


def _outcome(reply: StoreReply, ask: ClaimRequest, state: State) -> Outcome:
    left_s = reply.left_ms / 1000
    match reply.outcome:
        case "granted":
            # The remaining time, not the whole: a repeated claim must not extend the lease beyond the store's.
            lease = reply.gate.lease if reply.gate else None
            if lease is None:
                raise ContradictionError
            return Granted(lease.fence, left_ms(lease, reply.now_ms) / 1000)
        case "adopt":
            return Adopt()
        case "held":
            return Held(left_s)
        case "cooling-down":
            pauses = [pause for pause in (state.pause, state.credential_blocks.get(ask.credentials_id)) if pause]
            if not pauses:
                raise ContradictionError
            return CoolingDown(max(pauses, key=lambda pause: pause.left_s))
        case _:
            return OverBudget(left_s)


def detail_of(text: str) -> PartnerDetail | None:
    """Decode a partner's detail; None if there is none or it cannot be decoded."""
    try:
        return msgspec.json.decode(text, type=PartnerDetail) if text else None
    except msgspec.DecodeError:
        return None


def kind_of(name: str) -> FailureKind:
    """Return the failure's kind. An unknown kind, of a later version, counts as a back-off."""
    return FailureKind(name) if name in set(FailureKind) else FailureKind.SERVER_ERROR


def _pause_of(pause: StoredPause, now_ms: int) -> Pause:
    return Pause(
        kind=kind_of(pause.kind),
        left_s=left_ms(pause, now_ms) / 1000,
        consecutive_failures=pause.consecutive_failures,
        detail=detail_of(pause.detail),
        fence=pause.fence,
    )


def _grants_of(grants: list[StoredGrant], now_ms: int, profile: Profile) -> tuple[Grant, ...]:
    found = (Grant(grant.fence, max(0, now_ms - grant.at_ms) / 1000, grant.caller_requested) for grant in grants)
    return tuple(grant for grant in found if grant.age_s < profile.budget.window_s)
