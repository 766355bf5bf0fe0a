"""One profile for requests: the current token, the wait for a refresh attempt, rejection reports and the snapshot."""

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
from sidecar.vending.held_token import HeldToken
from sidecar.vending.refresh_attempt import RefreshAttempt
from sidecar.vending.rejection_reports import Reports
from sidecar.vending.singleflight import SingleFlight, WaiterDeadlines
from sidecar.vending.snapshot import take_snapshot
from sidecar.vending.store_session import StoreSession


class Broker:
    """A `TokenProvider`. Requests read process memory or wait for a refresh attempt. No request ends an attempt."""

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
        """Whether a refresh attempt has ended, or a call blocker prevented one, since the start."""
        self.demand = asyncio.Event()
        """Set to start the refresher's next round now: after a rejection report, or by `Refresher.wake`."""
        self._reports = Reports(session, self._deadlines, lambda: self.flying, self.demand.set)

    @property
    def profile(self) -> Profile:
        return self._session.profile

    # -- vending ------------------------------------------------------------------------------------------------------

    def current(self) -> VendedToken | None:
        now = self._asked_at = self._clock.monotonic()
        return self._held.vended(now)

    async def vend(self, min_ttl_s: Seconds = 0) -> VendedToken:
        # Even a new token has less than its lifetime left. A try would spend a partner call of the shared budget.
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
        """Whether the held token would be vended unmarked. Unlike `current`, this does not count as a request."""
        return self._held.is_good(self._clock.monotonic())

    def take_after(self, other: Broker) -> None:
        """Take over `other`'s callers: the time of their last request, and the token ids that they may still report."""
        self._asked_at = other._asked_at
        token = other._replica.token
        for token_id in (*other._replica.replaced_ids, *(() if token is None else (token.token_id,))):
            if token_id not in self._replica.replaced_ids:
                self._replica.replaced_ids.append(token_id)

    def stand_in_for(self, other: Broker | None) -> None:
        """Make no call without the store while `other` has a good token for the same callers. None: no other exists."""
        self._session.fallback.unhurried_s = (lambda: 0) if other is None else other.good_for_s

    def good_for_s(self) -> Seconds:
        """Return how long the token needs no replacement if the store is down."""
        return self._session.fallback.good_for_s(self._replica)

    async def _wait(self, min_ttl_s: Seconds) -> VendedToken:
        try:
            async with self._deadlines.within(self.profile.request_timeout_s):
                return await self._obtain(min_ttl_s)
        except TimeoutError:
            if (vended := self._look(min_ttl_s)) is not None:
                # The token came just now, or its call has not committed it to the store yet.
                return vended
            blocker = (
                call_blocker(self._session, caller_requested=self._reason(min_ttl_s).caller_requested)
                or self._out_of_time()
            )
            return self._suspect_or_raise(blocker, min_ttl_s)

    async def _obtain(self, min_ttl_s: Seconds) -> VendedToken:
        """Wait for refresh attempts until one brings a token with `min_ttl_s` left, or none can come in time."""
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
                # A joined attempt may have failed for a reason of its own, such as the smaller budget of reports.
                if result != "failed" or (joined and not self._stopping()):
                    continue
                blocker = call_blocker(self._session, caller_requested=reason.caller_requested) or self._out_of_time()
            if not self._worth_waiting_for(blocker, asked_at, min_ttl_s):
                return self._suspect_or_raise(blocker, min_ttl_s)
            await self._clock.sleep(blocker.retry_after_s)
            if (vended := self._look(min_ttl_s)) is not None:
                # Another call brought the token during the wait: no refresh attempt is needed.
                return vended

    def _worth_waiting_for(self, blocker: NoTokenError, asked_at: MonotonicTime, min_ttl_s: Seconds) -> bool:
        """Whether to wait out a back-off that ends in time. A cool-down or a suspect token is answered at once."""
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
        """Return a suspect token, which is better than none. Raise `blocker` if there is none or `min_ttl_s` is set."""
        replica = self._replica
        if replica.token is not None and self._suspect(min_ttl_s):
            return VendedToken(replica.token, suspect=True, expires_in_s=1, issued_at=replica.issued_at)
        raise blocker

    def _suspect(self, min_ttl_s: Seconds) -> bool:
        return not min_ttl_s and self._replica.condition(self._clock.monotonic()) is Condition.SUSPECT

    def _out_of_time(self) -> NoTokenError:
        if (pause := self._replica.state.pause) is not None:
            # The last partner call failed, and the call that tries again has not ended yet.
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

    # -- refresh attempts ---------------------------------------------------------------------------------------------

    @property
    def flying(self) -> bool:
        return self._flights.running("token")

    async def fly(self, reason: Reason) -> FlightResult:
        """Join the running refresh attempt, or start one for this reason. `failed` when this process is stopping."""
        if self._stopping():
            return "failed"
        try:
            # Read now, when the need was seen: a token adopted before the attempt starts meets the need.
            known = self._replica.known_fence
            return await self._flights.join("token", lambda: self._flight(reason, known))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stopping() and task is not None and not task.cancelling():
                # `close` cancelled the attempt, not this caller. The caller still needs an answer.
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
        """Return why a refresh attempt is due; None while none is due or the profile rests."""
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
        """Whether no request came for `idle_s`. The token may then expire until the next request."""
        idle_s = self.profile.idle_s
        return idle_s > 0 and self._clock.monotonic() - self._asked_at >= idle_s

    async def close(self) -> None:
        """Answer all waiting callers, then end the running attempt. A running partner call is failed after 1 s."""
        self._deadlines.end()
        await self._flights.close(grace_s=1 if self._replica.calling else 0, patience_s=0.9)

    async def report(self, token_id: str) -> Report:
        return await self._reports.take(token_id)

    def snapshot(self) -> Snapshot:
        return take_snapshot(self._session, waiters=self._waiters, resting=self.resting, has_outcome=self.has_outcome)
