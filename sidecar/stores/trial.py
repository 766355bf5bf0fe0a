"""Runs every operation of a store once, for a profile made only for this check."""

from __future__ import annotations

from sidecar.core.errors import StoreError
from sidecar.core.failures import FailureKind
from sidecar.core.model import Lifetime, Profile, Secret, Token, token_id_of
from sidecar.core.ports import Clock, SharedState
from sidecar.core.shared_state import ClaimRequest, FailureReport, Granted, LearnedLifetime, Pause, ReplicaMemory, State

_CREDENTIALS_ID = "check"


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
    pause = Pause(kind=FailureKind.TIMEOUT, left_s=1, strikes=1)
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
