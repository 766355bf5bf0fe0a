"""Data of the first release in Redis for this account, taken over once, while this release has stored nothing.

The first release named its keys by the profile's name and gave few facts a fence. Without its token, the first replica
that starts during an update would call the partner. The partner may then revoke the token that old replicas still vend.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, TypeAlias

import msgspec

from sidecar.core.model import Profile, Token
from sidecar.core.shared_state import Grant, Pause, ReplicaMemory, State
from sidecar.stores.codec import UNREADABLE, decode_stored_token, open_token
from sidecar.stores.documents import MAX_DOCUMENT_BYTES, MOST_GRANTS, DetailText, Id, Whole
from sidecar.stores.sealing import Sealer, UnsealError
from sidecar.stores.state_mapping import detail_of, kind_of

Get: TypeAlias = Callable[[str], Awaitable[bytes | None]]
"""The value of a key, None where there is none. Raises `StoreError`."""


class _Pause(msgspec.Struct):
    kind: Id
    until_ms: Whole
    consecutive_failures: Whole = msgspec.field(name="strikes")
    detail: DetailText = ""


class _Gate(msgspec.Struct):
    fence: Whole = 0
    pause: _Pause | None = None
    proven: list[Id] = []
    grants_ms: Annotated[list[Whole], msgspec.Meta(max_length=MOST_GRANTS)] = []
    rejected_id: Id = ""


_GATES = msgspec.json.Decoder(_Gate)


def earlier_profile_id(profile: Profile) -> str:
    account = "\n".join((profile.name, profile.partner, profile.base_url.rstrip("/"), profile.role))
    return f"{profile.name}-{hashlib.sha256(account.encode()).hexdigest()[:12]}"


async def earlier_memory(
    get: Get, profile: Profile, sealer: Sealer, credentials_id: str, now_ms: int
) -> ReplicaMemory | None:
    """Return what counts for an account with these credentials: token, cool-down and permits; None if nothing does.

    That release distinguished accounts by name alone, so only a token that these credentials obtained is taken. Its
    refresh token is left out, because replicas of that release use it too. Raises `StoreError`.
    """
    profile_id = earlier_profile_id(profile)
    gate = _gate(await get(f"pts:{{{profile_id}}}:gate"))
    token = _token(await get(f"pts:{{{profile_id}}}:token"), profile_id, sealer)
    if token is not None and token.credentials_id != credentials_id:
        token = None
    if token is None and credentials_id not in gate.proven:
        return None
    if token is not None and token.token_id == gate.rejected_id:
        token = None
    pause = None
    if gate.pause is not None and gate.pause.until_ms > now_ms:
        kind, left_s = kind_of(gate.pause.kind), (gate.pause.until_ms - now_ms) / 1000
        detail = detail_of(gate.pause.detail)
        pause = Pause(
            kind=kind,
            left_s=left_s,
            consecutive_failures=gate.pause.consecutive_failures,
            detail=detail,
            fence=gate.fence,
        )
    window_s = profile.budget.window_s
    grants = (Grant(at_ms, max(0, now_ms - at_ms) / 1000) for at_ms in gate.grants_ms)
    state = State(fence=gate.fence, pause=pause, grants=tuple(grant for grant in grants if grant.age_s < window_s))
    return ReplicaMemory(state=state, token=token, token_age_s=0)


def _gate(document: bytes | None) -> _Gate:
    try:
        return _GATES.decode(document) if document and len(document) <= MAX_DOCUMENT_BYTES else _Gate()
    except UNREADABLE:
        return _Gate()


def _token(document: bytes | None, profile_id: str, sealer: Sealer) -> Token | None:
    try:
        if not document or len(document) > MAX_DOCUMENT_BYTES:
            return None
        return replace(open_token(decode_stored_token(document), profile_id, sealer), refresh=None)
    except (*UNREADABLE, UnsealError, TypeError):
        return None
