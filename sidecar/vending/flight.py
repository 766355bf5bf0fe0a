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
from sidecar.core.model import Credentials, Moment, Reason, Seconds
from sidecar.core.policy import Condition
from sidecar.core.shared import Adopt, Ask, Claimed, Failed, Granted, Held, OverBudget
from sidecar.vending.call import Call, Lease
from sidecar.vending.crew import Crew

LOOK_WITHOUT_TOKEN_S: Seconds = 0.1
LOOK_AHEAD_S: Seconds = 0.25
"""How often a replica looks while somebody else holds the lease: apps wait, or only the calendar does."""


class Flight:
    """One attempt to come by another token than the one of fence `known`, which was found wanting."""

    def __init__(self, crew: Crew, reason: Reason, known: int) -> None:
        self._crew = crew
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
            credentials = self._crew.keyring.pick(self._crew.view.refused())
            if credentials is None or self._crew.view.pause() is not None or self._trial_is_over(credentials):
                return "failed"
            result = await self._claim_and_call(credentials)
        return result

    def _is_met(self) -> bool:
        """Somebody else's look at the store brought the token meanwhile."""
        view = self._crew.view
        return view.known_fence > self._known and view.condition(self._crew.clock.monotonic()) is Condition.FRESH

    def _trial_is_over(self, credentials: Credentials) -> bool:
        """A flight that was only to try new credentials does not go on with the old ones once they are refused."""
        fresh = self._crew.view.condition(self._crew.clock.monotonic()) is Condition.FRESH
        return self._reason is Reason.AHEAD and fresh and credentials is not self._crew.keyring.newest

    async def _claim_and_call(self, credentials: Credentials) -> FlightResult | None:
        """One lease's worth of work; None: claim again."""
        crew = self._crew
        known = crew.view.known_fence
        nonce = self._nonce(known)
        try:
            asked_at, claimed = await self._claim(nonce, known, credentials)
        except StoreError:
            return await self._without_store(credentials)
        except asyncio.CancelledError:
            # We are stopping, and the lease may be ours by now: nobody need wait for its limit.
            with contextlib.suppress(StoreError):
                await crew.store.fail(Failed(nonce=nonce, fence=0, credentials_id=credentials.credentials_id))
            raise
        crew.view.unanswered = ("", 0)
        match claimed.outcome:
            case Adopt() if crew.view.known_fence > known:
                return "adopted"
            case OverBudget():
                return "failed"
            case Granted(fence, limit_s):
                crew.ledger.note(asked_at)
                # A call that starts later could outlive the lease.
                send_by = asked_at + limit_s - crew.profile.partner_timeout_s - crew.profile.store_timeout_s
                return await Call(crew, Lease(nonce, fence, send_by, shared=True, known=known), credentials).run()
            case Held(left_s):
                await crew.clock.sleep(min(left_s, self._look_s()))
            case _:
                # CoolingDown: the loop's top sees the pause, or the next pair of credentials.
                await crew.clock.sleep(self._look_s())
        return None

    def _nonce(self, known: int) -> str:
        """The nonce of the claim that got no answer, if there is one: it may have been granted, and is granted again.

        Under another nonce even this replica would have to wait for the limit of its own lease. Not once another token
        is held, which may be newer than that lease's fence.
        """
        view = self._crew.view
        if not view.unanswered[0] or view.unanswered[1] != known:
            view.unanswered = (f"{self._crew.replica_id}/{self._crew.clock.new_id()}", known)
        return view.unanswered[0]

    async def _claim(self, nonce: str, known: int, credentials: Credentials) -> tuple[Moment, Claimed]:
        """The store's decision, and the moment before it was asked."""
        view = self._crew.view
        ask = Ask(
            nonce=nonce,
            known=known,
            fence=view.state.fence,
            epoch=view.state.epoch,
            on_demand=self._reason.on_demand,
            credentials_id=credentials.credentials_id,
        )
        asked_at: Moment = 0

        def claim() -> Awaitable[Claimed]:
            # Our turn may have been long in coming; the lease's time begins here.
            nonlocal asked_at
            asked_at = self._crew.clock.monotonic()
            return self._crew.store.claim(ask)

        claimed = await self._crew.exchange(claim)
        return asked_at, claimed

    def _look_s(self) -> Seconds:
        clock = self._crew.clock
        served = self._crew.view.condition(clock.monotonic()) in (Condition.FRESH, Condition.STALE)
        return (LOOK_AHEAD_S if served else LOOK_WITHOUT_TOKEN_S) * (0.5 + clock.jitter() / 2)

    async def _without_store(self, credentials: Credentials) -> FlightResult | None:
        """The store is down: wait a random while and look again, then call on this replica's own share."""
        crew = self._crew
        if (wait_s := crew.fallback.wait_s(crew.view, on_demand=self._reason.on_demand)) > 0:
            crew.fallback.block(wait_s)
            return "failed"
        if not self._waited_for_store:
            self._waited_for_store = True
            await crew.clock.sleep(crew.fallback.first_delay_s())
            return None
        if crew.view.pause() is not None or credentials.credentials_id in crew.view.refused():
            # A report's look brought it while we waited for the store.
            return None
        crew.fallback.spend(on_demand=self._reason.on_demand)
        known, fence = crew.view.known_fence, crew.view.begin_local_call()
        send_by = crew.clock.monotonic() + crew.profile.store_timeout_s
        return await Call(crew, Lease("", fence, send_by, shared=False, known=known), credentials).run()
