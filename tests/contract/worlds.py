"""Stores under one suite, each with a time that can be moved and data that can be lost."""

from __future__ import annotations

import base64
import json
from itertools import count
from typing import Literal, Protocol, TypeAlias

from sidecar.core.errors import FailureKind, PartnerDetail
from sidecar.core.model import Budget, Lifetime, Profile, Secret, Token, token_id_of
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import ClaimRequest, ClaimResult, FailureReport, Granted, LearnedLifetime, Pause, State
from sidecar.core.store_url import parse_store_url
from sidecar.stores.engine import MemoryStore
from sidecar.stores.factory import Store, open_store
from sidecar.stores.sealing import AesSealer, Sealer, SealKey
from tests.servers import RedisServer
from tests.support.hand_clock import HandClock
from tests.support.replica import PATIENT_S

PROFILE = Profile(base_url="https://partner.test", budget=Budget(4, 60))
LIMIT_S = PROFILE.lease_limit_s
ISSUED_AT = 1_767_225_600.25
"""Stores keep a token's instant as it is told them."""

_nonces = count(1)


def seal_key(fill: int, key_id: str) -> SealKey:
    return SealKey(key_id, Secret(base64.b64encode(bytes([fill]) * 32).decode()))


SEALER = AesSealer([seal_key(1, "one")])


class World(Protocol):
    """A store, with time and loss in the test's hand."""

    store: Store

    def advance(self, span_s: float) -> None: ...

    def lose_data(self) -> None: ...


Part: TypeAlias = Literal["gate", "token"]


class KeptWorld(World, Protocol):
    """One whose documents can be read and overwritten by hand."""

    def get(self, part: Part) -> bytes: ...

    def put(self, part: Part, document: bytes) -> None: ...

    def put_other_type(self, part: Part) -> None:
        """A value of a type of the database's that is none of ours."""
        ...

    def another(self, sealer: Sealer) -> Store:
        """One more replica's store, over the same documents."""
        ...


class MemoryWorld:
    def __init__(self) -> None:
        self.clock = HandClock()
        self.memory = MemoryStore(self.clock)
        self.store: Store = self.memory

    def advance(self, span_s: float) -> None:
        self.clock.now += span_s

    def lose_data(self) -> None:
        self.memory._records.clear()


class RedisWorld:
    """A server's TIME cannot be moved, so what is stored is moved into the past instead, expiry included."""

    def __init__(self, server: RedisServer, store: Store) -> None:
        self.server = server
        self.store = store

    def advance(self, span_s: float) -> None:
        span_ms = round(span_s * 1000)
        for key in self.server.command("KEYS", "pts:*"):
            left_ms = self.server.command("PTTL", key) - span_ms
            if left_ms <= 0:
                self.server.command("DEL", key)
                continue
            moved = _earlier(json.loads(self.server.command("GET", key)), span_ms)
            self.server.command("SET", key, json.dumps(moved), "PX", left_ms)

    def lose_data(self) -> None:
        self.server.command("FLUSHALL")

    def get(self, part: Part) -> bytes:
        return bytes(self.server.command("GET", self._key(part)))

    def put(self, part: Part, document: bytes) -> None:
        self.server.command("SET", self._key(part), document)

    def put_other_type(self, part: Part) -> None:
        self.server.command("HSET", self._key(part), "field", "value")

    def another(self, sealer: Sealer) -> Store:
        return open_store(parse_store_url(self.server.url), timeout_s=PATIENT_S, sealer=sealer, clock=HandClock())

    def _key(self, part: Part) -> str:
        return f"pts:{{{PROFILE.profile_id}}}:{part}"


def _earlier(document: object, span_ms: int) -> object:
    """The document as if it had been written `span_ms` before; a duration and a fence stay what they are."""
    if isinstance(document, dict):
        return {
            name: value - span_ms if name.endswith("_ms") and name != "age_ms" else _earlier(value, span_ms)
            for name, value in document.items()
        }
    return [_earlier(each, span_ms) for each in document] if isinstance(document, list) else document


def an_ask(
    nonce: str = "",
    *,
    known: int = 0,
    fence: int = 0,
    epoch: str = "",
    caller_requested: bool = False,
    credentials_id: str = "credentials-1",
) -> ClaimRequest:
    """A fresh ask by replica `r`, unless a nonce is given."""
    return ClaimRequest(
        nonce=nonce or f"r/{next(_nonces)}", known=known, fence=fence, epoch=epoch, caller_requested=caller_requested,
        credentials_id=credentials_id,
    )  # fmt: skip


def a_token(fence: int, text: str = "", *, credentials_id: str = "credentials-1", lifetime_s: float = 900) -> Token:
    access = Secret(text or f"access-of-{fence}")
    return Token(
        access=access, refresh=Secret("canary-refresh"), token_id=token_id_of(access), role="API_USER", fence=fence,
        issued_at=ISSUED_AT, lifetime_s=lifetime_s, lifetime=Lifetime.ASSUMED, credentials_id=credentials_id,
    )  # fmt: skip


def a_failure(
    nonce: str,
    fence: int,
    kind: FailureKind | None,
    delay_s: float,
    credentials_id: str,
    detail: PartnerDetail | None = None,
    drop_refresh: int = 0,
) -> FailureReport:
    """With a pause of this kind and length; of kind None without one."""
    pause = None if kind is None else Pause(kind=kind, left_s=delay_s, consecutive_failures=0, detail=detail)
    return FailureReport(
        nonce=nonce, fence=fence, credentials_id=credentials_id, pause=pause, drop_refresh=drop_refresh
    )


async def granted(shared: SharedState, ask: ClaimRequest | None = None) -> tuple[str, Granted]:
    """Claim, and insist on a grant: its nonce and the grant."""
    ask = ask or an_ask()
    outcome = (await shared.claim(ask)).outcome
    assert isinstance(outcome, Granted), outcome
    return ask.nonce, outcome


async def fetched(
    shared: SharedState,
    text: str = "",
    *,
    known: int = 0,
    learned: LearnedLifetime | None = None,
    credentials_id: str = "credentials-1",
) -> Token:
    """One whole rotation: claim, and commit a token with the granted fence."""
    nonce, grant = await granted(shared, an_ask(known=known, credentials_id=credentials_id))
    token = a_token(grant.fence, text, credentials_id=credentials_id)
    assert (await shared.commit(nonce, token, 0, learned or LearnedLifetime())).stored
    return token


async def failed(
    shared: SharedState, kind: FailureKind, delay_s: float, *, known: int = 0, credentials_id: str = "credentials-1"
) -> State:
    """Claim, and fail."""
    nonce, grant = await granted(shared, an_ask(known=known, credentials_id=credentials_id))
    return await shared.fail(a_failure(nonce, grant.fence, kind, delay_s, credentials_id, None))


def grant_ages_s(state: State, *, caller_requested: bool = False) -> tuple[float, ...]:
    """Of all permits within the window, or of those spent on demand; oldest first."""
    return tuple(grant.age_s for grant in state.grants if grant.caller_requested or not caller_requested)


def failure_counts_of(state: State) -> dict[str, int]:
    """Failures since the last token, by kind."""
    return {kind: failures.count for kind, failures in state.failure_counts.items()}


def reported_id(state: State) -> str:
    return "" if state.reported is None else state.reported.token_id


def confirmed_id(state: State) -> str:
    return "" if state.confirmed is None else state.confirmed.token_id


def outcome_name(claimed: ClaimResult) -> str:
    return type(claimed.outcome).__name__
