"""Checks whether a store can be used as `serve` uses it: runs every operation once, for a profile of its own."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.core.errors import FailureKind, StoreError
from sidecar.core.model import Lifetime, Profile, Seconds, Secret, Token, token_id_of
from sidecar.core.ports import Clock, SharedState
from sidecar.core.shared_state import ClaimRequest, FailureReport, Granted, LearnedLifetime, Pause, ReplicaMemory, State
from sidecar.core.store_url import MemoryUrl, RedisUrl, StoreUrl
from sidecar.stores.factory import Store

_CREDENTIALS_ID = "check"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a store, or one thing that could not be checked.

    `words` say what is wrong and what to do about it; they contain no secret. `address` is where it was found, empty
    if the store has none. A note does not prevent a sidecar from working now.
    """

    words: str
    address: str = ""
    is_note: bool = False

    def __str__(self) -> str:
        return f"{self.address}: {self.words}" if self.address else self.words


def finding_of(error: StoreError) -> Finding:
    """Return the finding for a failed operation, named by its cause if there are no words for it."""
    return Finding(error.words or f"{error.operation} failed: {error.cause}", error.address)


async def check_store(store: Store, url: StoreUrl, *, timeout_s: Seconds, clock: Clock) -> list[Finding]:
    """Return what is wrong and what could not be checked; `url` and `timeout_s` are those it was opened with."""
    if isinstance(url, MemoryUrl):
        return []  # in this process's memory, so it is always usable
    if isinstance(url, RedisUrl):
        # Imported late: memory:// runs without redis-py.
        from sidecar.stores.redis.check import check_redis

        return await check_redis(store, url, timeout_s=timeout_s, clock=clock)
    from sidecar.stores.sqlite.store import SqliteStore  # imported late, as the store itself is

    profile = trial_profile(clock)
    try:
        try:
            await try_operations(store.shared_state(profile), clock)
        finally:
            if isinstance(store, SqliteStore):
                await store.forget(profile)
    except StoreError as error:
        return [finding_of(error)]
    return []


def trial_profile(clock: Clock) -> Profile:
    """Return a unique profile, so that a trial disturbs no sidecar and no other trial."""
    trial_id = clock.new_id()
    return Profile(name=f"check-{trial_id}", base_url=f"check:{trial_id}")


async def try_operations(shared: SharedState, clock: Clock) -> None:
    """Claim, commit, peek, reject, fail and seed, and check that the store kept what was written.

    Raises `StoreError`.
    """
    nonce = f"check/{clock.new_id()}"
    ask = ClaimRequest(nonce=nonce, known=0, fence=0, epoch="", caller_requested=False, credentials_id=_CREDENTIALS_ID)
    claimed = await shared.claim(ask)
    if not isinstance(claimed.outcome, Granted):
        raise _not_kept("claim")
    token = _token(claimed.outcome.fence, claimed.state.now, clock)
    committed = await shared.commit(nonce, token, 0, LearnedLifetime())
    seen = await shared.peek(0)
    if not committed.stored or seen.token is None or seen.token_id != token.token_id:
        raise _not_kept("commit")
    if not (await shared.reject(token.token_id, 0)).current:
        raise _not_kept("reject")
    pause = Pause(kind=FailureKind.TIMEOUT, left_s=1, consecutive_failures=1)
    await shared.fail(FailureReport(nonce=nonce, fence=token.fence, credentials_id=_CREDENTIALS_ID, pause=pause))
    seeded = await shared.seed(ReplicaMemory(state=State(fence=token.fence), token=token, token_age_s=0))
    if seeded.token_id != token.token_id:
        raise _not_kept("seed")


def _token(fence: int, issued_at: float, clock: Clock) -> Token:
    access = Secret(clock.new_id())
    return Token(
        access=access,
        token_id=token_id_of(access),
        role="",
        fence=fence,
        issued_at=issued_at,
        lifetime_s=60,
        lifetime=Lifetime.ASSUMED,
        credentials_id=_CREDENTIALS_ID,
    )


def _not_kept(operation: str) -> StoreError:
    words = "it responds but does not keep data: reads and writes must go to one server, without eviction"
    return StoreError(operation, "NotKept", words)
