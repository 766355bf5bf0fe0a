"""One profile, as requests see it: the current token, a flight to wait for, reports, and a look at everything."""

from __future__ import annotations

import asyncio

from sidecar.core.errors import (
    BadRequestError,
    NoTokenError,
    PartnerUnavailableError,
    StartingError,
    WaitTimeoutError,
)
from sidecar.core.events import FlightEnded, FlightResult
from sidecar.core.model import MonotonicTime, Profile, Reason, Seconds, Token
from sidecar.core.policy import Condition, usable_s
from sidecar.vending.api import Report, Snapshot, VendedToken
from sidecar.vending.call_blockers import call_blocker, error_of
from sidecar.vending.deadlines import WaiterDeadlines
from sidecar.vending.held_token import HeldToken
from sidecar.vending.refresh_attempt import RefreshAttempt
from sidecar.vending.rejection_reports import Reports
from sidecar.vending.singleflight import SingleFlight
from sidecar.vending.snapshot import take_snapshot
from sidecar.vending.store_session import StoreSession


class Broker:
    """A `TokenProvider`. Requests only read process memory or wait for a flight; none ever ends one."""

    def __init__(self, session: StoreSession) -> None:
        self._session = session
        self._replica = session.replica
        self._held = HeldToken(session)
        self._clock = session.clock
        self._flights: SingleFlight[str, FlightResult] = SingleFlight()
        self._deadlines = WaiterDeadlines()
        self._asked_at = session.clock.monotonic()
        self._waiters = 0
        self.has_outcome = False
        """Whether a flight has ended, or something stood in the way of one, since the start."""
        self.demand = asyncio.Event()
        """Set to have the maintainer look now: a token was reported, or its owner wants something of it."""
        self._reports = Reports(session, self._deadlines, lambda: self.flying, self.demand.set)

    @property
    def profile(self) -> Profile:
        return self._session.profile

    # -- vending ------------------------------------------------------------------------------------------------------

    def current(self) -> VendedToken | None:
        now = self._asked_at = self._clock.monotonic()
        return self._held.vended(now)

    async def vend(self, min_ttl_s: Seconds = 0) -> VendedToken:
        # Not even a new token has its whole life left: to try would cost everyone's token a call.
        if min_ttl_s >= self._replica.lifetime_s:
            raise BadRequestError(
                f"min_ttl={min_ttl_s:g} is beyond the token's lifetime of {self._replica.lifetime_s:g} s."
            )
        if (vended := self._look(min_ttl_s)) is not None:
            return vended
        self._waiters += 1
        try:
            return await self._wait(min_ttl_s)
        finally:
            self._waiters -= 1

    def _look(self, min_ttl_s: Seconds) -> VendedToken | None:
        now = self._asked_at = self._clock.monotonic()
        return self._held.vended(now, min_ttl_s)

    def holds(self, token: Token) -> bool:
        return self._held.holds(token)

    @property
    def has_good_token(self) -> bool:
        """Whether one would be vended unmarked; unlike `current`, this is not to ask for it."""
        return self._held.is_good(self._clock.monotonic())

    def take_after(self, other: Broker) -> None:
        """This profile's callers were `other`'s so far: know when they asked last, and what they may still report."""
        self._asked_at = other._asked_at
        token = other._replica.token
        for token_id in (*other._replica.replaced_ids, *(() if token is None else (token.token_id,))):
            if token_id not in self._replica.replaced_ids:
                self._replica.replaced_ids.append(token_id)

    def stand_in_for(self, other: Broker | None) -> None:
        """Call nothing without the store while `other` has a good token for the same callers. None: nobody has."""
        self._session.fallback.unhurried_s = (lambda: 0) if other is None else other.good_for_s

    def good_for_s(self) -> Seconds:
        """How long there is no hurry to replace the token, should the store be down."""
        return self._session.fallback.good_for_s(self._replica)

    async def _wait(self, min_ttl_s: Seconds) -> VendedToken:
        try:
            async with self._deadlines.within(self.profile.request_timeout_s):
                return await self._obtain(min_ttl_s)
        except TimeoutError:
            if (vended := self._look(min_ttl_s)) is not None:
                # It came in this very moment, or its call has yet to tell the store of it.
                return vended
            blocker = (
                call_blocker(self._session, caller_requested=self._reason(min_ttl_s).caller_requested)
                or self._out_of_time()
            )
            return self._suspect_or_raise(blocker, min_ttl_s)

    async def _obtain(self, min_ttl_s: Seconds) -> VendedToken:
        """Wait for flights until one brings what was asked for, or nothing more can be had in time."""
        asked_at = self._clock.monotonic()
        while True:
            reason, joined = self._reason(min_ttl_s), self.flying
            blocker = None if joined else call_blocker(self._session, caller_requested=reason.caller_requested)
            if blocker is None:
                result = await self.fly(reason)
                if (vended := self._look(min_ttl_s)) is not None:
                    return vended
                if min_ttl_s and self._replica.token is not None and self._replica.born >= asked_at:
                    raise BadRequestError(f"min_ttl={min_ttl_s:g} is more than a new token has left.")
                # A flight that was joined may have failed for a reason of its own, say the smaller budget of reports.
                if result != "failed" or (joined and not self._stopping()):
                    continue
                blocker = call_blocker(self._session, caller_requested=reason.caller_requested) or self._out_of_time()
            if not self._worth_waiting_for(blocker, asked_at, min_ttl_s):
                return self._suspect_or_raise(blocker, min_ttl_s)
            await self._clock.sleep(blocker.retry_after_s)
            if (vended := self._look(min_ttl_s)) is not None:
                # Somebody else's call ended the wait: a flight now would be one too many.
                return vended

    def _worth_waiting_for(self, blocker: NoTokenError, asked_at: MonotonicTime, min_ttl_s: Seconds) -> bool:
        """A back-off that ends while the caller may wait is no answer; a cool-down is, and so is a suspect token."""
        left_s = asked_at + self.profile.request_timeout_s - self._clock.monotonic()
        return (
            isinstance(blocker, PartnerUnavailableError)
            and blocker.retry_after_s < left_s
            and not self._suspect(min_ttl_s)
        )

    def _reason(self, min_ttl_s: Seconds) -> Reason:
        if self._replica.token is None:
            return Reason.MISS
        if min_ttl_s and self.has_good_token:
            return Reason.MIN_TTL
        return self.due() or Reason.MISS

    def _suspect_or_raise(self, blocker: NoTokenError, min_ttl_s: Seconds) -> VendedToken:
        """No other token can be had now: a suspect one is better than none, unless more was asked of it."""
        replica = self._replica
        if replica.token is not None and self._suspect(min_ttl_s):
            return VendedToken(replica.token, suspect=True, expires_in_s=1, issued_at=replica.issued_at)
        raise blocker

    def _suspect(self, min_ttl_s: Seconds) -> bool:
        return not min_ttl_s and self._replica.condition(self._clock.monotonic()) is Condition.SUSPECT

    def _out_of_time(self) -> NoTokenError:
        if (pause := self._replica.state.pause) is not None:
            # The partner's last word was a failure, and whoever tries again now has not come back yet.
            return error_of(pause)
        if self._replica.token is None:
            return StartingError("There is no token yet.", retry_after_s=1)
        return WaitTimeoutError("No token came in time.", retry_after_s=1)

    async def changed(self, token_id: str, wait_s: Seconds) -> bool:
        def is_another() -> bool:
            return self._replica.token is not None and self._replica.token.token_id != token_id

        try:
            async with self._deadlines.within(wait_s):
                while not is_another():
                    await self._replica.changed().wait()
        except TimeoutError:
            return is_another()
        return True

    # -- flights ------------------------------------------------------------------------------------------------------

    @property
    def flying(self) -> bool:
        return self._flights.running("token")

    async def fly(self, reason: Reason) -> FlightResult:
        """Join the running flight, or start one for this reason; `failed` when this process is stopping."""
        if self._stopping():
            return "failed"
        try:
            # Taken now, when the need was seen: a token adopted before the flight takes off meets it.
            known = self._replica.known_fence
            return await self._flights.join("token", lambda: self._flight(reason, known))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stopping() and task is not None and not task.cancelling():
                # Not this caller was cancelled but the flight, by `close`: an answer is still owed.
                return "failed"
            raise

    def _stopping(self) -> bool:
        return self._deadlines.ended

    async def _flight(self, reason: Reason, known: int) -> FlightResult:
        result: FlightResult = "failed"
        try:
            result = await RefreshAttempt(self._session, reason, known).run()
        finally:
            self.has_outcome = True
            self._session.sink.emit(FlightEnded(profile=self.profile.name, reason=reason, result=result))
        return result

    def due(self) -> Reason | None:
        """Why a flight is due by the calendar; None while all is well or the profile rests."""
        replica = self._replica
        if self.resting:
            return None
        if replica.token is None:
            return Reason.START
        age_s = replica.age_s(self._clock.monotonic())
        if age_s >= usable_s(replica.token.lifetime_s, self.profile):
            return Reason.MISS
        if age_s >= replica.refresh_at_s:
            return Reason.AHEAD
        if replica.is_reported:
            return Reason.REJECTED
        trial = (
            self._session.rotation.on_trial
            and self._session.rotation.newest.credentials_id not in replica.credential_blocks()
        )
        return Reason.AHEAD if trial else None

    @property
    def resting(self) -> bool:
        """Nobody asked for a long time: the token may end until somebody does."""
        idle_s = self.profile.idle_s
        return idle_s > 0 and self._clock.monotonic() - self._asked_at >= idle_s

    async def close(self) -> None:
        """Answer everyone who waits, then end the running flight; a call that is out is failed after a second."""
        self._deadlines.end()
        await self._flights.close(grace_s=1 if self._replica.calling else 0, patience_s=0.9)

    async def report(self, token_id: str) -> Report:
        return await self._reports.take(token_id)

    # -- a look -------------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        return take_snapshot(self._session, waiters=self._waiters, resting=self.resting, has_outcome=self.has_outcome)
