"""The named arguments of each script, in the names that its Lua code reads.

What is absent is `UNSET`, never null: Lua's null is not nil.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from sidecar.core.model import Profile, Seconds, Token
from sidecar.core.shared_state import ClaimRequest, FailureReport, Pause, ReplicaMemory
from sidecar.stores.codec import keep_s, sealed_text
from sidecar.stores.documents import (
    StoredConfirmation,
    StoredCount,
    StoredLearnedLifetime,
    StoredReport,
    detail_text,
    ms,
)
from sidecar.stores.sealing import Sealer


class ScriptArgs(msgspec.Struct, kw_only=True):
    new_epoch: str = ""
    """For a store that has none. The client sets another one for each run."""


class TokenArg(msgspec.Struct, kw_only=True):
    """A token on its way to the store, sealed."""

    fence: int
    id: str
    sealed: str
    keep_ms: int


class PauseArg(msgspec.Struct, kw_only=True):
    kind: str
    fence: int
    left_ms: int
    consecutive_failures: int = msgspec.field(name="strikes")
    detail: str


class GrantArg(msgspec.Struct, kw_only=True):
    fence: int
    age_ms: int
    caller_requested: bool = msgspec.field(name="on_demand")


class ClaimArgs(ScriptArgs):
    nonce: str
    known: int
    fence: int
    epoch: str
    caller_requested: bool = msgspec.field(name="on_demand")
    credentials_id: str
    limit_ms: int
    calls: int
    demand_calls: int
    window_ms: int


class CommitArgs(ScriptArgs):
    nonce: str
    token: TokenArg
    credentials_id: str
    learned_s: Seconds
    first_report_age_s: Seconds = msgspec.field(name="evidence_s")


class FailArgs(ScriptArgs):
    """`kind`, `delay_ms` and `detail` are those of the pause that the failure brings, where it brings one."""

    nonce: str
    fence: int
    credentials_id: str
    drop_refresh: int
    known: int
    kind: str | UnsetType = UNSET
    delay_ms: int | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class RejectArgs(ScriptArgs):
    token_id: str
    age_ms: int


class PeekArgs(ScriptArgs):
    known: int


class SeedArgs(ScriptArgs):
    clock_stepped: bool
    epoch: str
    fence: int
    failure_counts: dict[str, StoredCount] = msgspec.field(name="strikes")
    credential_blocks: dict[str, PauseArg] = msgspec.field(name="refused")
    proven: dict[str, int]
    grants: list[GrantArg]
    window_ms: int
    refresh_dropped: int
    learned: StoredLearnedLifetime = msgspec.field(name="lesson")
    reported: StoredReport | UnsetType = UNSET
    confirmed: StoredConfirmation | UnsetType = UNSET
    token: TokenArg | UnsetType = UNSET
    pause: PauseArg | UnsetType = UNSET


def claim_args(ask: ClaimRequest, profile: Profile) -> ClaimArgs:
    return ClaimArgs(
        nonce=ask.nonce,
        known=ask.known,
        fence=ask.fence,
        epoch=ask.epoch,
        caller_requested=ask.caller_requested,
        credentials_id=ask.credentials_id,
        limit_ms=ms(profile.lease_limit_s),
        calls=profile.budget.calls,
        demand_calls=profile.budget.caller_requested_calls,
        window_ms=ms(profile.budget.window_s),
    )


def fail_args(failed: FailureReport) -> FailArgs:
    args = FailArgs(
        nonce=failed.nonce,
        fence=failed.fence,
        credentials_id=failed.credentials_id,
        drop_refresh=failed.drop_refresh,
        known=failed.known,
    )
    if failed.pause is not None:
        args.kind, args.delay_ms = failed.pause.kind.value, ms(failed.pause.left_s)
        args.detail = detail_text(failed.pause.detail)
    return args


def seed_args(remembered: ReplicaMemory, profile: Profile, sealer: Sealer) -> SeedArgs:
    state, token = remembered.state, remembered.token
    reported, confirmed, learned = state.reported, state.confirmed, state.learned
    return SeedArgs(
        clock_stepped=remembered.clock_stepped,
        epoch=state.epoch,
        fence=state.fence,
        failure_counts={kind: StoredCount(each.count, each.fence) for kind, each in state.failure_counts.items()},
        credential_blocks={
            credentials_id: _pause_arg(pause) for credentials_id, pause in state.credential_blocks.items()
        },
        proven=dict(state.proven),
        # Rounded down, so that a permit is never dropped before its time.
        grants=[
            GrantArg(fence=grant.fence, age_ms=int(grant.age_s * 1000), caller_requested=grant.caller_requested)
            for grant in state.grants
        ],
        window_ms=ms(profile.budget.window_s),
        refresh_dropped=state.refresh_dropped,
        learned=StoredLearnedLifetime(learned.fence, learned.learned_s, learned.first_report_age_s),
        reported=StoredReport(reported.token_id, reported.fence, ms(reported.age_s)) if reported else UNSET,
        confirmed=StoredConfirmation(confirmed.token_id, confirmed.fence) if confirmed else UNSET,
        token=token_arg(token, remembered.token_age_s, profile, sealer) if token else UNSET,
        pause=_pause_arg(state.pause) if state.pause else UNSET,
    )


def token_arg(token: Token, age_s: Seconds, profile: Profile, sealer: Sealer) -> TokenArg:
    return TokenArg(
        fence=token.fence,
        id=token.token_id,
        sealed=sealed_text(token, profile, sealer),
        keep_ms=ms(keep_s(token, age_s, profile)),
    )


def _pause_arg(pause: Pause) -> PauseArg:
    return PauseArg(
        kind=pause.kind.value,
        fence=pause.fence,
        left_ms=ms(pause.left_s),
        consecutive_failures=pause.consecutive_failures,
        detail=detail_text(pause.detail),
    )
