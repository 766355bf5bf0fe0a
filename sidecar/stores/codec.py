"""Encodes and decodes what a store gets and returns: sealed tokens, and documents and replies as JSON."""

from __future__ import annotations

import msgspec

from sidecar.core.model import Lifetime, Profile, Seconds, Secret, Token, token_id_of
from sidecar.stores.documents import StoredToken, StoreReply, Whole
from sidecar.stores.sealing import Sealer, UnsealError

KEEP_SLACK_S: Seconds = 60
"""A token's key expires this long after the last moment at which the token could be vended."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Errors of decoding a document: msgspec has none of its own for invalid UTF-8 or for nesting that is too deep."""


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
    """Encode what msgspec does not know."""
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError


def _decode(kind: type, value: object) -> object:
    """Decode the same."""
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError("no text where a secret belongs")


_ENCODER = msgspec.json.Encoder(enc_hook=_encode)
_PAYLOADS = msgspec.json.Decoder(_Payload, dec_hook=_decode)
_REPLIES = msgspec.json.Decoder(StoreReply, dec_hook=_decode)
_TOKENS = msgspec.json.Decoder(StoredToken, dec_hook=_decode)


def decode_reply(reply: bytes) -> StoreReply:
    """Raises one of `UNREADABLE`; only its class may be shown."""
    return _REPLIES.decode(reply)


def encode_stored_token(token: Token, profile: Profile, sealer: Sealer) -> bytes:
    """Return the document of a token, for stores that Python writes to."""
    return _ENCODER.encode(StoredToken(token.fence, token.token_id, Secret(sealed_text(token, profile, sealer))))


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


def sealed_text(token: Token, profile: Profile, sealer: Sealer) -> str:
    """Return a token as every store keeps it."""
    issued_ms = round(token.issued_at * 1000)
    payload = _Payload(
        token.access, token.refresh, token.role, token.lifetime, token.lifetime_s, token.credentials_id, issued_ms
    )
    return sealer.seal(_ENCODER.encode(payload), _context(profile.profile_id, token.fence))


def keep_s(token: Token, age_s: Seconds, profile: Profile) -> Seconds:
    """Return how long the store keeps a token of this age; always above 0, or writing it would fail."""
    return max(0, token.lifetime_s + profile.max_stale_s - age_s) + KEEP_SLACK_S


def _context(profile_id: str, fence: int) -> str:
    """Return what a sealed text is bound to: it opens for no other profile and under no other fence."""
    return f"{profile_id}:{fence}"
