"""The shared state on Redis or Valkey, 6.2 and later: one Lua script, and so one round trip, for each decision.

Two keys for each profile, `pts:{<profile id>}:gate` and `pts:{<profile id>}:token`, share a hash tag and always carry
an expiry; nothing else is written.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from sidecar.core.errors import StoreError
from sidecar.core.model import Profile, Seconds, Token
from sidecar.core.ports import Clock, SharedState
from sidecar.core.shared_state import (
    ClaimRequest,
    ClaimResult,
    Committed,
    FailureReport,
    LearnedLifetime,
    Rejection,
    ReplicaMemory,
    State,
)
from sidecar.core.store_url import RedisUrl
from sidecar.file_operations import FileStalls
from sidecar.stores.codec import open_token
from sidecar.stores.documents import StoredToken, StoreReply, ms
from sidecar.stores.redis.client import RedisClient, Script
from sidecar.stores.redis.earlier_release import earlier_memory
from sidecar.stores.redis.script_args import (
    CommitArgs,
    PeekArgs,
    RejectArgs,
    claim_args,
    fail_args,
    seed_args,
    token_arg,
)
from sidecar.stores.sealing import Sealer, UnsealError
from sidecar.stores.state_mapping import ContradictionError, claimed, is_unreadable_offer, rejection, state_of

CLAIM, COMMIT, FAIL, REJECT, PEEK, SEED = (
    Script(name) for name in ("claim", "commit", "fail", "reject", "peek", "seed")
)

MAX_OFFERS = 4
"""Newer tokens that one claim may fail to open before it raises `StoreError`."""


class RedisStore:
    """One store, shared by all profiles of a process."""

    def __init__(
        self, url: RedisUrl, *, timeout_s: Seconds, sealer: Sealer, clock: Clock, stalls: FileStalls | None = None
    ) -> None:
        """`stalls` records files that hang. Connects to nothing yet."""
        self.kind: str = url.topology
        self._client = RedisClient(url, timeout_s=timeout_s, clock=clock, stalls=stalls or FileStalls())
        self._sealer = sealer

    def shared_state(self, profile: Profile) -> SharedState:
        return _RedisState(self._client, self._sealer, profile)

    async def ping(self) -> None:
        await self._client.ping()

    async def close(self) -> None:
        await self._client.close()


class _RedisState:
    """The shared state of one profile."""

    def __init__(self, client: RedisClient, sealer: Sealer, profile: Profile) -> None:
        self._client = client
        self._sealer = sealer
        self._profile = profile
        tag = f"pts:{{{profile.profile_id}}}"
        self._keys = (f"{tag}:gate", f"{tag}:token")
        self._checked_earlier_release = False
        """Whether data of the first release was looked for."""

    async def claim(self, ask: ClaimRequest) -> ClaimResult:
        """Claim again, past its fence, if a newer token cannot be opened here.

        At most `MAX_OFFERS` times, because another writer could keep storing newer ones.
        """
        if not ask.epoch and not self._checked_earlier_release:
            await self._take_over_earlier_release(ask.credentials_id)
        damaged: tuple[str, ...] = ()
        asked = ask
        for _ in range(MAX_OFFERS):
            reply = await self._client.run(CLAIM, self._keys, claim_args(asked, self._profile))
            state = self._state(reply, ask.known)
            damaged = tuple(dict.fromkeys((*damaged, *state.damaged)))
            try:
                result = claimed(reply, ask, replace(state, damaged=damaged))
            except ContradictionError as error:
                raise StoreError(CLAIM.name, type(error).__name__) from None
            if not is_unreadable_offer(result):
                return result
            asked = replace(ask, known=reply.token.fence if reply.token else 0)
        raise StoreError(CLAIM.name, UnsealError.__name__)

    async def _take_over_earlier_release(self, credentials_id: str) -> None:
        """Look for data of the first release, because this replica has read nothing from the store yet."""
        try:
            reply = await self._client.run(PEEK, self._keys, PeekArgs(known=0))
        except StoreError as error:
            raise StoreError(CLAIM.name, error.cause, error.words, address=error.address) from None
        self._checked_earlier_release = True
        if reply.gate is not None:
            return
        # The value may have any type, or be forbidden to this user. A failure costs one partner call and is ignored.
        with contextlib.suppress(StoreError):
            found = await earlier_memory(self._client.get, self._profile, self._sealer, credentials_id, reply.now_ms)
            if found is not None:
                await self.seed(found)

    async def commit(self, nonce: str, token: Token, age_s: Seconds, learned: LearnedLifetime) -> Committed:
        args = CommitArgs(
            nonce=nonce,
            token=token_arg(token, age_s, self._profile, self._sealer),
            credentials_id=token.credentials_id,
            learned_s=learned.learned_s,
            first_report_age_s=learned.first_report_age_s,
        )
        reply = await self._client.run(COMMIT, self._keys, args)
        return Committed(reply.outcome == "stored", self._state(reply, token.fence))

    async def fail(self, failed: FailureReport) -> State:
        return self._state(await self._client.run(FAIL, self._keys, fail_args(failed)), failed.known)

    async def reject(self, token_id: str, age_s: Seconds) -> Rejection:
        reply = await self._client.run(REJECT, self._keys, RejectArgs(token_id=token_id, age_ms=ms(age_s)))
        return rejection(reply, self._profile, self._unseal)

    async def peek(self, known: int) -> State:
        return self._state(await self._client.run(PEEK, self._keys, PeekArgs(known=known)), known)

    async def seed(self, remembered: ReplicaMemory) -> State:
        args = seed_args(remembered, self._profile, self._sealer)
        reply = await self._client.run(SEED, self._keys, args)
        return self._state(reply, remembered.token.fence if remembered.token else 0)

    def _state(self, reply: StoreReply, known: int) -> State:
        return state_of(reply, self._profile, known, self._unseal)

    def _unseal(self, stored: StoredToken) -> Token:
        return open_token(stored, self._profile.profile_id, self._sealer)
