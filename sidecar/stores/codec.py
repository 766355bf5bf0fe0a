"""How values travel to a store and back: a token as sealed text, a script's arguments, a script's answer."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from sidecar.core.model import Lifetime, Profile, Seconds, Secret, Token, token_id_of
from sidecar.core.shared_state import ClaimRequest, FailureReport, Grant, Pause, ReplicaMemory
from sidecar.stores.documents import StoredToken, StoreReply, Whole, detail_text, ms
from sidecar.stores.sealing import Sealer, UnsealError

KEEP_SLACK_S: Seconds = 60
"""A token's key expires this long after the last moment at which the token could be vended."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of decoding a document: msgspec has none of its own for invalid UTF-8 or for nesting that is too deep."""

Arguments: TypeAlias = dict[str, Any]
"""A script's named arguments; each script's header has the names and forms."""


class _Payload(msgspec.Struct):
    """The sealed content of a stored token."""

    access: Secret
    refresh: Secret | None
    role: str
    lifetime: Lifetime
    lifetime_s: float
    credentials_id: str
    issued_ms: Whole
    """By the store's clock, as the sender knew it. A token's age comes only from sealed content."""


def _encode(value: object) -> object:
    """msgspec's hook for types it does not know."""
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError


def _decode(kind: type, value: object) -> object:
    """msgspec's hook for decoding the same types."""
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError("no text where a secret belongs")


_ENCODER = msgspec.json.Encoder(enc_hook=_encode)
_PAYLOADS = msgspec.json.Decoder(_Payload, dec_hook=_decode)
_VIEWS = msgspec.json.Decoder(StoreReply, dec_hook=_decode)
_TOKENS = msgspec.json.Decoder(StoredToken, dec_hook=_decode)


def encode_arguments(arguments: Arguments) -> bytes:
    return _ENCODER.encode(arguments)


def decode_view(reply: bytes) -> StoreReply:
    """Raises one of `UNREADABLE`; only its class may be shown."""
    return _VIEWS.decode(reply)


def encode_stored_token(token: Token, profile: Profile, sealer: Sealer) -> bytes:
    """A token as it lies in a store that is written by Python."""
    argument = token_argument(token, 0, profile, sealer)
    stored = StoredToken(token.fence, token.token_id, Secret(argument["sealed"]))
    return _ENCODER.encode(stored)


def decode_stored_token(document: bytes) -> StoredToken:
    """Raises one of `UNREADABLE`."""
    return _TOKENS.decode(document)


def open_token(stored: StoredToken, profile_id: str, sealer: Sealer) -> Token:
    """Return the token, after checking that the id beside the sealed text is the token's own.

    Raises `UnsealError`, also when the seal is valid but the content is not of this version.
    """
    plain = sealer.open(stored.sealed.reveal(), _context(profile_id, stored.fence))
    try:
        payload = _PAYLOADS.decode(plain)
    except UNREADABLE:
        raise UnsealError("not a token") from None
    if token_id_of(payload.access) != stored.id:
        raise UnsealError("sealed under another id")
    return Token(
        access=payload.access,
        refresh=payload.refresh,
        token_id=stored.id,
        role=payload.role,
        fence=stored.fence,
        issued_at=payload.issued_ms / 1000,
        lifetime_s=payload.lifetime_s,
        lifetime=payload.lifetime,
        credentials_id=payload.credentials_id,
    )


def token_argument(token: Token, age_s: Seconds, profile: Profile, sealer: Sealer) -> Arguments:
    """A token on its way to the store, sealed."""
    issued_ms = round(token.issued_at * 1000)
    payload = _Payload(
        token.access, token.refresh, token.role, token.lifetime, token.lifetime_s, token.credentials_id, issued_ms
    )
    return {
        "fence": token.fence,
        "id": token.token_id,
        "sealed": sealer.seal(_ENCODER.encode(payload), _context(profile.profile_id, token.fence)),
        "keep_ms": ms(keep_s(token, age_s, profile)),
    }


def keep_s(token: Token, age_s: Seconds, profile: Profile) -> Seconds:
    """Return how long the store keeps a token of this age; always above 0, or writing it would fail."""
    return max(0, token.lifetime_s + profile.max_stale_s - age_s) + KEEP_SLACK_S


def claim_arguments(ask: ClaimRequest, profile: Profile) -> Arguments:
    return {
        "nonce": ask.nonce,
        "known": ask.known,
        "fence": ask.fence,
        "epoch": ask.epoch,
        "on_demand": ask.caller_requested,
        "credentials_id": ask.credentials_id,
        "limit_ms": ms(profile.lease_limit_s),
        "calls": profile.budget.calls,
        "demand_calls": profile.budget.caller_requested_calls,
        "window_ms": ms(profile.budget.window_s),
    }


def fail_arguments(failed: FailureReport) -> Arguments:
    arguments: Arguments = {
        "nonce": failed.nonce,
        "fence": failed.fence,
        "credentials_id": failed.credentials_id,
        "drop_refresh": failed.drop_refresh,
        "known": failed.known,
    }
    if failed.pause is not None:
        arguments["kind"] = failed.pause.kind.value
        arguments["delay_ms"] = ms(failed.pause.left_s)
        arguments["detail"] = detail_text(failed.pause.detail)
    return arguments


def seed_arguments(remembered: ReplicaMemory, profile: Profile, sealer: Sealer) -> Arguments:
    """Absent rather than null where there is nothing: Lua's null is not nil."""
    state, token = remembered.state, remembered.token
    arguments: Arguments = {
        "clock_stepped": remembered.clock_stepped,
        "epoch": state.epoch,
        "fence": state.fence,
        "strikes": {kind: {"count": each.count, "fence": each.fence} for kind, each in state.strikes.items()},
        "refused": {
            credentials_id: _pause_argument(pause) for credentials_id, pause in state.credential_blocks.items()
        },
        "proven": dict(state.proven),
        "grants": [_grant_argument(grant) for grant in state.grants],
        "window_ms": ms(profile.budget.window_s),
        "refresh_dropped": state.refresh_dropped,
        "lesson": {
            "fence": state.learned.fence,
            "learned_s": state.learned.learned_s,
            "evidence_s": state.learned.evidence_s,
        },
    }
    if (reported := state.reported) is not None:
        arguments["reported"] = {"id": reported.token_id, "fence": reported.fence, "age_ms": ms(reported.age_s)}
    if state.confirmed is not None:
        arguments["confirmed"] = {"id": state.confirmed.token_id, "fence": state.confirmed.fence}
    if token is not None:
        arguments["token"] = token_argument(token, remembered.token_age_s, profile, sealer)
    if state.pause is not None:
        arguments["pause"] = _pause_argument(state.pause)
    return arguments


def _pause_argument(pause: Pause) -> Arguments:
    return {
        "kind": pause.kind.value,
        "fence": pause.fence,
        "left_ms": ms(pause.left_s),
        "strikes": pause.strikes,
        "detail": detail_text(pause.detail),
    }


def _grant_argument(grant: Grant) -> Arguments:
    """The age is rounded down, so that a permit is never dropped before its time."""
    return {"fence": grant.fence, "age_ms": int(grant.age_s * 1000), "on_demand": grant.caller_requested}


def _context(profile_id: str, fence: int) -> str:
    """Return what a sealed text is bound to: it opens for no other profile and under no other fence."""
    return f"{profile_id}:{fence}"
