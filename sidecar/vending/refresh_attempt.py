"""One flight: everyone in this process who wants a token waits for the same one.

claim ─┬─ Adopt ─────────────────────────────► adopted
       ├─ Held ── wait, claim again
       ├─ CoolingDown, OverBudget ───────────► failed
       ├─ Granted ── call ─┬─ token, commit ─► fetched
       │                   ├─ failure, fail ─► failed
       │                   └─ refresh token refused, or lease lost before the call: claim again
       └─ store down ── wait a random while, claim again; still down: call on this replica's share
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

from sidecar.core.errors import StoreError
from sidecar.core.events import FlightResult
from sidecar.core.model import Credentials, MonotonicTime, Reason, Seconds
from sidecar.core.policy import Condition
from sidecar.core.shared_state import Adopt, ClaimRequest, ClaimResult, FailureReport, Granted, Held, OverBudget
from sidecar.vending.partner_call import Call, Lease
from sidecar.vending.store_session import StoreSession

LOOK_WITHOUT_TOKEN_S: Seconds = 0.1
LOOK_AHEAD_S: Seconds = 0.25
"""How often a replica looks while somebody else holds the lease: apps wait, or only the calendar does."""


class RefreshAttempt:
    """One attempt to come by another token than the one of fence `known`, which was found wanting."""

    def __init__(self, session: StoreSession, reason: Reason, known: int) -> None:
        self._session = session
        self._known = known
        self._reason = reason
        self._waited_for_store = False

    async def run(self) -> FlightResult:
        """Fly until there is a result. After `failed` the obstacle stands in the view or the fallback."""
        result: FlightResult | None = None
        while result is None:
            if self._is_met():
                return "adopted"
            # The newest pair that may be tried is looked up each time: a refusal in between changes it.
            credentials = self._session.rotation.pick(self._session.replica.credential_blocks())
            if credentials is None or self._session.replica.pause() is not None or self._trial_is_over(credentials):
                return "failed"
            result = await self._claim_and_call(credentials)
        return result

    def _is_met(self) -> bool:
        """Somebody else's look at the store brought the token meanwhile."""
        replica = self._session.replica
        return (
            replica.known_fence > self._known and replica.condition(self._session.clock.monotonic()) is Condition.FRESH
        )

    def _trial_is_over(self, credentials: Credentials) -> bool:
        """A flight that was only to try new credentials does not go on with the old ones once they are refused."""
        fresh = self._session.replica.condition(self._session.clock.monotonic()) is Condition.FRESH
        return self._reason is Reason.AHEAD and fresh and credentials is not self._session.rotation.newest

    async def _claim_and_call(self, credentials: Credentials) -> FlightResult | None:
        """One lease's worth of work; None: claim again."""
        session = self._session
        known = session.replica.known_fence
        nonce = self._nonce(known)
        try:
            asked_at, claimed = await self._claim(nonce, known, credentials)
        except StoreError:
            return await self._without_store(credentials)
        except asyncio.CancelledError:
            # We are stopping, and the lease may be ours by now: nobody need wait for its limit.
            with contextlib.suppress(StoreError):
                await session.store.fail(FailureReport(nonce=nonce, fence=0, credentials_id=credentials.credentials_id))
            raise
        session.replica.unanswered = ("", 0)
        match claimed.outcome:
            case Adopt() if session.replica.known_fence > known:
                return "adopted"
            case OverBudget():
                return "failed"
            case Granted(fence, limit_s):
                session.ledger.note(asked_at)
                # A call that starts later could outlive the lease.
                send_by = asked_at + limit_s - session.profile.partner_timeout_s - session.profile.store_timeout_s
                return await Call(session, Lease(nonce, fence, send_by, shared=True, known=known), credentials).run()
            case Held(left_s):
                await session.clock.sleep(min(left_s, self._look_s()))
            case _:
                # CoolingDown: the loop's top sees the pause, or the next pair of credentials.
                await session.clock.sleep(self._look_s())
        return None

    def _nonce(self, known: int) -> str:
        """The nonce of the claim that got no answer, if there is one: it may have been granted, and is granted again.

        Under another nonce even this replica would have to wait for the limit of its own lease. Not once another token
        is held, which may be newer than that lease's fence.
        """
        replica = self._session.replica
        if not replica.unanswered[0] or replica.unanswered[1] != known:
            replica.unanswered = (f"{self._session.replica_id}/{self._session.clock.new_id()}", known)
        return replica.unanswered[0]

    async def _claim(self, nonce: str, known: int, credentials: Credentials) -> tuple[MonotonicTime, ClaimResult]:
        """The store's decision, and the moment before it was asked."""
        replica = self._session.replica
        ask = ClaimRequest(
            nonce=nonce,
            known=known,
            fence=replica.state.fence,
            epoch=replica.state.epoch,
            caller_requested=self._reason.caller_requested,
            credentials_id=credentials.credentials_id,
        )
        asked_at: MonotonicTime = 0

        def claim() -> Awaitable[ClaimResult]:
            # Our turn may have been long in coming; the lease's time begins here.
            nonlocal asked_at
            asked_at = self._session.clock.monotonic()
            return self._session.store.claim(ask)

        claimed = await self._session.exchange(claim)
        return asked_at, claimed

    def _look_s(self) -> Seconds:
        clock = self._session.clock
        served = self._session.replica.condition(clock.monotonic()) in (Condition.FRESH, Condition.STALE)
        return (LOOK_AHEAD_S if served else LOOK_WITHOUT_TOKEN_S) * (0.5 + clock.jitter() / 2)

    async def _without_store(self, credentials: Credentials) -> FlightResult | None:
        """The store is down: wait a random while and look again, then call on this replica's own share."""
        session = self._session
        if (wait_s := session.fallback.wait_s(session.replica, caller_requested=self._reason.caller_requested)) > 0:
            session.fallback.block(wait_s)
            return "failed"
        if not self._waited_for_store:
            self._waited_for_store = True
            await session.clock.sleep(session.fallback.first_delay_s())
            return None
        if session.replica.pause() is not None or credentials.credentials_id in session.replica.credential_blocks():
            # A report's look brought it while we waited for the store.
            return None
        session.fallback.spend(caller_requested=self._reason.caller_requested)
        known, fence = session.replica.known_fence, session.replica.begin_local_call()
        send_by = session.clock.monotonic() + session.profile.store_timeout_s
        return await Call(session, Lease("", fence, send_by, shared=False, known=known), credentials).run()
