"""One refresh attempt: all callers in this process that need a token wait for the same attempt.

claim ─┬─ Adopt ─────────────────────────────► adopted
       ├─ Held ── wait, claim again
       ├─ CoolingDown, OverBudget ───────────► failed
       ├─ Granted ── call ─┬─ token, commit ─► fetched
       │                   ├─ failure, fail ─► failed
       │                   └─ refresh token refused, or lease lost before the call: claim again
       └─ store down ── wait a random time, claim again; still down: call on this replica's share
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
"""How often a replica reads the store while another one holds the lease: without a token to vend, and with one."""


class RefreshAttempt:
    """One attempt to get another token than the one of fence `known`, which has to be replaced."""

    def __init__(self, session: StoreSession, reason: Reason, known: int) -> None:
        self._session = session
        self._known = known
        self._reason = reason
        self._waited_for_store = False

    async def run(self) -> FlightResult:
        """Run until there is a result. After `failed` the call blocker is in the replica state or the outage budget."""
        result: FlightResult | None = None
        while result is None:
            if self._is_met():
                return "adopted"
            # The credentials are picked each time: a rejection in between changes which ones may be used.
            credentials = self._session.rotation.pick(self._session.replica.credential_blocks())
            if credentials is None or self._session.replica.pause() is not None or self._trial_is_over(credentials):
                return "failed"
            result = await self._claim_and_call(credentials)
        return result

    def _is_met(self) -> bool:
        """Whether another exchange with the store has brought a newer token meanwhile."""
        replica = self._session.replica
        return (
            replica.known_fence > self._known and replica.condition(self._session.clock.monotonic()) is Condition.FRESH
        )

    def _trial_is_over(self, credentials: Credentials) -> bool:
        """Whether this attempt only tries new credentials and they were rejected: it does not use the old ones."""
        fresh = self._session.replica.condition(self._session.clock.monotonic()) is Condition.FRESH
        return self._reason is Reason.AHEAD and fresh and credentials is not self._session.rotation.newest

    async def _claim_and_call(self, credentials: Credentials) -> FlightResult | None:
        """Claim a lease and make its call. Return None when a new claim is due."""
        session = self._session
        known = session.replica.known_fence
        nonce = self._nonce(known)
        try:
            asked_at, claimed = await self._claim(nonce, known, credentials)
        except StoreError:
            return await self._without_store(credentials)
        except asyncio.CancelledError:
            # This process stops, and the lease may be granted by now. No replica should wait for its limit.
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
                # CoolingDown: the loop in `run` checks the pause, or picks the other credentials.
                await session.clock.sleep(self._look_s())
        return None

    def _nonce(self, known: int) -> str:
        """Return the nonce of the claim that got no reply, if there is one: its lease may exist, and is granted again.

        With another nonce this replica would have to wait for the limit of its own lease. Once another token is held,
        the nonce is new: that token may be newer than the lease's fence.
        """
        replica = self._session.replica
        if not replica.unanswered[0] or replica.unanswered[1] != known:
            replica.unanswered = (f"{self._session.replica_id}/{self._session.clock.new_id()}", known)
        return replica.unanswered[0]

    async def _claim(self, nonce: str, known: int, credentials: Credentials) -> tuple[MonotonicTime, ClaimResult]:
        """Return the local time before the store was asked, and the store's decision."""
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
            # The wait for our turn may have been long. The lease's time begins here.
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
        """Handle a store that is down: wait a random time and claim again, then call on this replica's own share."""
        session = self._session
        if (wait_s := session.fallback.wait_s(session.replica, caller_requested=self._reason.caller_requested)) > 0:
            session.fallback.block(wait_s)
            return "failed"
        if not self._waited_for_store:
            self._waited_for_store = True
            await session.clock.sleep(session.fallback.first_delay_s())
            return None
        if session.replica.pause() is not None or credentials.credentials_id in session.replica.credential_blocks():
            # A report's exchange with the store brought the pause or block during the wait.
            return None
        session.fallback.spend(caller_requested=self._reason.caller_requested)
        known, fence = session.replica.known_fence, session.replica.begin_local_call()
        send_by = session.clock.monotonic() + session.profile.store_timeout_s
        return await Call(session, Lease("", fence, send_by, shared=False, known=known), credentials).run()
