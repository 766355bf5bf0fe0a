"""One profile for requests: the current token, the wait for a refresh attempt, rejection reports and the snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field

from sidecar.core.errors import BadRequestError, NoTokenError, PartnerUnavailableError
from sidecar.core.model import MonotonicTime, Profile, Reason, Seconds, Token
from sidecar.core.policy import Condition, usable_s
from sidecar.core.ports import Clock
from sidecar.vending.api import Report, Snapshot, VendedToken
from sidecar.vending.call_blockers import CallBlockers
from sidecar.vending.refresh_attempt import Blocked
from sidecar.vending.refresher import Refresher
from sidecar.vending.rejection_reports import Reports
from sidecar.vending.replica_state import ReplicaState
from sidecar.vending.singleflight import WaiterDeadlines
from sidecar.vending.snapshot import Snapshots


@dataclass(slots=True, kw_only=True, eq=False)
class Broker:
    """A `TokenProvider`. Requests read process memory or wait for a refresh attempt. No request ends an attempt."""

    profile: Profile
    clock: Clock
    replica: ReplicaState
    blockers: CallBlockers
    refresher: Refresher
    deadlines: WaiterDeadlines
    reports: Reports
    snapshots: Snapshots
    _waiters: int = field(default=0, init=False)
    _latest: VendedToken | None = field(default=None, init=False)
    """The last vended token: within one second every caller gets the same."""

    # -- the held token -----------------------------------------------------------------------------------------------

    def current(self) -> VendedToken | None:
        return self._look(0)

    def holds(self, token: Token) -> bool:
        return self.replica.token is token and not self.replica.is_reported

    @property
    def has_good_token(self) -> bool:
        """Whether the held token would be vended unmarked. Unlike `current`, this does not count as a request."""
        return self.replica.is_good(self.clock.monotonic())

    def _look(self, min_ttl_s: Seconds) -> VendedToken | None:
        """Return the held token if it has at least `min_ttl_s` left; None if there is none, or it is not good."""
        replica, latest, now = self.replica, self._latest, self.clock.monotonic()
        self.refresher.touch(now)
        if (
            latest is not None
            and now < latest.valid_until
            and replica.token is latest.token
            and not replica.is_reported
            and not min_ttl_s
            and replica.shown_time.is_right(now)
        ):
            return latest
        if replica.token is None or not replica.is_good(now):
            return None
        left_s = replica.left_s(now)
        if left_s < min_ttl_s:
            return None
        usable_left_s = usable_s(replica.token.lifetime_s, self.profile) - replica.age_s(now)
        self._latest = VendedToken(
            token=replica.token,
            suspect=False,
            expires_in_s=max(1, int(left_s)),
            issued_at=replica.issued_at,
            valid_until=now + min(left_s % 1, usable_left_s),
        )
        return self._latest

    # -- waiting ------------------------------------------------------------------------------------------------------

    async def vend(self, min_ttl_s: Seconds = 0) -> VendedToken:
        # Even a new token has less than its lifetime left. A try would spend a partner call of the shared budget.
        if min_ttl_s >= self.replica.lifetime_s:
            raise BadRequestError(
                f"min_ttl={min_ttl_s:g} is beyond the token's lifetime of {self.replica.lifetime_s:g} s."
            )
        if (vended := self._look(min_ttl_s)) is not None:
            return vended
        self._waiters += 1
        try:
            return await self._wait(min_ttl_s)
        finally:
            self._waiters -= 1

    async def _wait(self, min_ttl_s: Seconds) -> VendedToken:
        try:
            async with self.deadlines.within(self.profile.request_timeout_s):
                return await self._obtain(min_ttl_s)
        except TimeoutError:
            if (vended := self._look(min_ttl_s)) is not None:
                # The token came just now, or its call has not committed it to the store yet.
                return vended
            blocker = self.blockers.reason(caller_requested=self._reason(min_ttl_s).caller_requested)
            return self._suspect_or_raise(blocker, min_ttl_s)

    async def _obtain(self, min_ttl_s: Seconds) -> VendedToken:
        """Wait for refresh attempts until one brings a token with `min_ttl_s` left, or none can come in time."""
        asked_at = self.clock.monotonic()
        while True:
            reason, joined = self._reason(min_ttl_s), self.refresher.is_refreshing
            blocker = None if joined else self.blockers.find(caller_requested=reason.caller_requested)
            if blocker is None:
                result = await self.refresher.refresh(reason)
                if (vended := self._look(min_ttl_s)) is not None:
                    return vended
                if min_ttl_s and self.replica.token is not None and self.replica.born >= asked_at:
                    raise BadRequestError(f"min_ttl={min_ttl_s:g} is more than a new token has left.")
                # A joined attempt may have failed for a reason of its own, such as the smaller budget of reports.
                if not isinstance(result, Blocked) or (joined and not self.refresher.is_closed):
                    continue
                blocker = result.error
            if not self._worth_waiting_for(blocker, asked_at, min_ttl_s):
                return self._suspect_or_raise(blocker, min_ttl_s)
            await self.clock.sleep(blocker.retry_after_s)
            if (vended := self._look(min_ttl_s)) is not None:
                # Another call brought the token during the wait: no refresh attempt is needed.
                return vended

    def _worth_waiting_for(self, blocker: NoTokenError, asked_at: MonotonicTime, min_ttl_s: Seconds) -> bool:
        """Whether to wait out a back-off that ends in time. A cool-down or a suspect token is answered at once."""
        left_s = asked_at + self.profile.request_timeout_s - self.clock.monotonic()
        return (
            isinstance(blocker, PartnerUnavailableError)
            and blocker.retry_after_s < left_s
            and not self._suspect(min_ttl_s)
        )

    def _reason(self, min_ttl_s: Seconds) -> Reason:
        if self.replica.token is None:
            return Reason.MISS
        if min_ttl_s and self.has_good_token:
            return Reason.MIN_TTL
        return self.refresher.due() or Reason.MISS

    def _suspect_or_raise(self, blocker: NoTokenError, min_ttl_s: Seconds) -> VendedToken:
        """Return a suspect token, which is better than none. Raise `blocker` if there is none or `min_ttl_s` is set."""
        replica = self.replica
        if replica.token is not None and self._suspect(min_ttl_s):
            return VendedToken(token=replica.token, suspect=True, expires_in_s=1, issued_at=replica.issued_at)
        raise blocker

    def _suspect(self, min_ttl_s: Seconds) -> bool:
        return not min_ttl_s and self.replica.condition(self.clock.monotonic()) is Condition.SUSPECT

    async def changed(self, token_id: str, wait_s: Seconds) -> bool:
        def is_another() -> bool:
            return self.replica.token_id not in ("", token_id)

        try:
            async with self.deadlines.within(wait_s):
                while not is_another():
                    await self.replica.changed().wait()
        except TimeoutError:
            return is_another()
        return True

    async def close(self) -> None:
        """Answer all waiting callers, then end the running attempt. A running partner call is failed after 1 s."""
        self.deadlines.end()
        await self.refresher.close()

    async def report(self, token_id: str) -> Report:
        return await self.reports.take(token_id)

    def snapshot(self) -> Snapshot:
        return self.snapshots.take(self._waiters)
