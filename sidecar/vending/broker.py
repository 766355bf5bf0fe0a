"""One profile, as requests see it: the current token, a flight to wait for, reports, and a look at everything."""

from __future__ import annotations

import asyncio

from sidecar.core.errors import BadRequestError, NoTokenError, StartingError, StoreError, WaitTimeoutError
from sidecar.core.events import FlightEnded, FlightResult, TokenReported
from sidecar.core.model import Profile, Reason, Seconds
from sidecar.core.policy import Condition, usable_s
from sidecar.core.shared import Rejection
from sidecar.vending.crew import Crew
from sidecar.vending.flight import Flight
from sidecar.vending.obstacle import obstacle
from sidecar.vending.singleflight import SingleFlight
from sidecar.vending.snapshot import take_snapshot
from sidecar.vending.vendor import Report, Snapshot, Vended

GOOD = (Condition.FRESH, Condition.STALE)


class Broker:
    """A `Vendor`. Requests only read process memory or wait for a flight; none ever ends one."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._view = crew.view
        self._clock = crew.clock
        self._flights: SingleFlight[str, FlightResult] = SingleFlight()
        self._reports: SingleFlight[str, Report] = SingleFlight()
        self._asked_at = crew.clock.monotonic()
        self._waiters = 0
        self._closing = False
        self.demand = asyncio.Event()
        """Set by requests that need the maintainer: the first one after a rest, and reports."""

    @property
    def profile(self) -> Profile:
        return self._crew.profile

    # -- vending ------------------------------------------------------------------------------------------------------

    def current(self) -> Vended | None:
        return self._look(0)

    async def vend(self, min_ttl_s: Seconds = 0) -> Vended:
        if min_ttl_s > self._view.lifetime_s:
            raise BadRequestError(
                f"min_ttl={min_ttl_s:g} is beyond the token's lifetime of {self._view.lifetime_s:g} s."
            )
        if (vended := self._look(min_ttl_s)) is not None:
            return vended
        self._waiters += 1
        try:
            return await self._wait(min_ttl_s)
        finally:
            self._waiters -= 1

    def _look(self, min_ttl_s: Seconds) -> Vended | None:
        now = self._asked_at = self._clock.monotonic()
        view = self._view
        if view.token is None or view.condition(now) not in GOOD:
            return None
        left_s = view.left_s(now)
        return Vended(view.token, suspect=False, expires_in_s=max(1, int(left_s))) if left_s >= min_ttl_s else None

    async def _wait(self, min_ttl_s: Seconds) -> Vended:
        """Wait for flights until one brings what was asked for, or nothing more can be had in time."""
        asked_at = self._clock.monotonic()
        until = asked_at + self.profile.request_timeout_s
        while True:
            reason, joined = self._reason(min_ttl_s), self.flying
            if not joined and (no := obstacle(self._crew, on_demand=reason.on_demand)) is not None:
                return self._suspect_or_raise(no, min_ttl_s)
            try:
                async with asyncio.timeout(until - self._clock.monotonic()):
                    result = await self.fly(reason)
            except TimeoutError:
                return self._suspect_or_raise(self._out_of_time(), min_ttl_s)
            if (vended := self._look(min_ttl_s)) is not None:
                return vended
            if result == "failed" and not joined:
                # (A flight that was joined may have failed for its own reason, say the smaller budget of reports.)
                no = obstacle(self._crew, on_demand=reason.on_demand) or self._out_of_time()
                return self._suspect_or_raise(no, min_ttl_s)
            if min_ttl_s and self._view.token is not None and self._view.born >= asked_at:
                raise BadRequestError(f"min_ttl={min_ttl_s:g} is more than a new token has left.")

    def _reason(self, min_ttl_s: Seconds) -> Reason:
        if self._view.token is None:
            return Reason.MISS
        if self._view.condition(self._clock.monotonic()) in GOOD and min_ttl_s:
            return Reason.MIN_TTL
        return self.due() or Reason.MISS

    def _suspect_or_raise(self, no: NoTokenError, min_ttl_s: Seconds) -> Vended:
        """No other token can be had now: a suspect one is better than none, unless more was asked of it."""
        token = self._view.token
        if token is not None and not min_ttl_s and self._view.condition(self._clock.monotonic()) is Condition.SUSPECT:
            return Vended(token, suspect=True, expires_in_s=1)
        raise no

    def _out_of_time(self) -> NoTokenError:
        if self._view.token is None:
            return StartingError("There is no token yet.", retry_after_s=1)
        return WaitTimeoutError("No token came in time.", retry_after_s=1)

    async def changed(self, token_id: str, wait_s: Seconds) -> bool:
        def is_another() -> bool:
            return self._view.token is not None and self._view.token.token_id != token_id

        try:
            async with asyncio.timeout(wait_s):
                while not is_another():
                    await self._view.changed().wait()
        except TimeoutError:
            return is_another()
        return True

    # -- flights ------------------------------------------------------------------------------------------------------

    @property
    def flying(self) -> bool:
        return self._flights.running("token")

    async def fly(self, reason: Reason) -> FlightResult:
        """Join the running flight, or start one for this reason."""
        try:
            return await self._flights.join("token", lambda: self._flight(reason))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closing and task is not None and not task.cancelling():
                # Not this caller was cancelled but the flight, by `close`: an answer is still owed.
                return "failed"
            raise

    async def _flight(self, reason: Reason) -> FlightResult:
        result: FlightResult = "failed"
        try:
            result = await Flight(self._crew, reason).run()
        finally:
            self._crew.sink.emit(FlightEnded(profile=self.profile.name, reason=reason, result=result))
        return result

    def due(self) -> Reason | None:
        """Why a flight is due by the calendar; None while all is well or the profile rests."""
        view = self._view
        if self.resting:
            return None
        if view.token is None:
            return Reason.START
        age_s = view.age_s(self._clock.monotonic())
        if age_s >= usable_s(view.token.lifetime_s, self.profile):
            return Reason.MISS
        if age_s >= view.refresh_at_s:
            return Reason.AHEAD
        if view.rejected:
            return Reason.REJECTED
        trial = self._crew.keyring.on_trial and self._crew.keyring.newest.credentials_id not in view.refused()
        return Reason.AHEAD if trial else None

    @property
    def resting(self) -> bool:
        """Nobody asked for a long time: the token may end until somebody does."""
        idle_s = self.profile.idle_s
        return idle_s > 0 and self._clock.monotonic() - self._asked_at >= idle_s

    async def close(self) -> None:
        """End the running flight: up to a second for a call that is out, then it is failed."""
        self._closing = True
        await self._flights.close(grace_s=1 if self._view.calling else 0, patience_s=0.9)
        await self._reports.close(grace_s=0, patience_s=0.1)

    # -- reports ------------------------------------------------------------------------------------------------------

    async def report(self, token_id: str) -> Report:
        report = self._report_from_memory(token_id)
        if report is None:
            # However many callers report one token at once, the store is asked once.
            report = await self._reports.join(token_id, lambda: self._report(token_id))
        self._crew.sink.emit(TokenReported(profile=self.profile.name, token_id=token_id[:64], verdict=report.verdict))
        return report

    def _report_from_memory(self, token_id: str) -> Report | None:
        view = self._view
        if view.token is None or view.token.token_id != token_id:
            return Report("already-replaced") if token_id in view.replaced_ids else None
        if view.state.confirmed_id == token_id:
            return Report("confirmed")
        return self._refreshing() if view.rejected else None

    async def _report(self, token_id: str) -> Report:
        """Look at the store first: somebody may have replaced the token already."""
        view = self._view
        try:
            rejection = await self._reject(token_id)
            if not rejection.current and not rejection.confirmed:
                # The store has a newer token, which is adopted now, or has lost ours, and is given it first.
                await self._crew.peek()
                if view.token is None or view.token.token_id != token_id:
                    return Report("already-replaced")
                rejection = await self._reject(token_id)
        except StoreError:
            if view.token is None or view.token.token_id != token_id:
                return Report("already-replaced")
            view.note_rejected(token_id, view.age_s(self._clock.monotonic()))
            return self._refreshing()
        if rejection.confirmed:
            return Report("confirmed")
        return self._refreshing() if rejection.current else Report("already-replaced")

    async def _reject(self, token_id: str) -> Rejection:
        return await self._crew.exchange(lambda: self._crew.store.reject(token_id))

    def _refreshing(self) -> Report:
        no = None if self.flying else obstacle(self._crew, on_demand=True)
        if no is not None:
            return Report("later", no.retry_after_s)
        self.demand.set()
        return Report("refreshing")

    # -- a look -------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        return take_snapshot(self._crew, waiters=self._waiters, resting=self.resting)
