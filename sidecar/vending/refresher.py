"""One task per profile: follow the store, refresh ahead, watch the credentials. No request cancels it.

When one process reads the store: all its profiles at the same time.

A wake-up costs more than a read, because the processor's caches no longer hold the last round's data. Four profiles
that read together cost two fifths of what they cost one by one.
"""

from __future__ import annotations

import asyncio
import contextlib

from sidecar.core import policy
from sidecar.core.errors import StoreError
from sidecar.core.events import InternalFailure
from sidecar.core.model import MonotonicTime, Seconds
from sidecar.core.ports import Clock
from sidecar.core.safe_traceback import bare_trace
from sidecar.vending.broker import Broker
from sidecar.vending.call_blockers import call_blocker
from sidecar.vending.refresh_attempt import LOOK_AHEAD_S
from sidecar.vending.store_session import StoreSession

TOGETHER_S: Seconds = 0.01
"""A beat that is nearer than this counts as over: timers fire a little early or late."""


class Beat:
    """One for each process, so that replicas do not read the store together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: MonotonicTime = 0

    def rest_s(self, poll_s: Seconds) -> Seconds:
        """Return the time to the next beat: at most `poll_s`, the bound within which a report reaches every replica."""
        now = self._clock.monotonic()
        if self._next - now < TOGETHER_S:
            self._next = now + poll_s * (0.9 + 0.1 * self._clock.jitter())
        return self._next - now


CREDENTIALS_LOOK_S: Seconds = 5
"""How often the mounted files are read; the kubelet itself takes up to a minute to change them."""

SHORTEST_REST_S: Seconds = 0.01
"""A rest that ends a rounding error before the moment it waits for must not become a busy loop."""


class Refresher:
    """Replaces one profile's token before it expires, until `stop` is called."""

    def __init__(self, session: StoreSession, broker: Broker, beat: Beat) -> None:
        self._session = session
        self._broker = broker
        self._beat = beat
        self._clock = session.clock
        self._stopping = False
        self._credentials_looked_at: MonotonicTime = session.clock.monotonic()
        self.reread_credentials = False
        """Set to read the credentials at the next round, which `wake` starts."""

    def wake(self) -> None:
        self._broker.demand.set()

    def stop(self) -> None:
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Run rounds until `stop`. A bug in a round is logged, and the next round runs: apps still use the token."""
        while not self._stopping:
            try:
                await self._round()
                await self._rest()
            except Exception as error:  # noqa: BLE001 - a bug must not end the task that keeps the token alive
                self._session.sink.emit(
                    InternalFailure(profile=self._session.profile.name, where="maintainer", trace=bare_trace(error))
                )
                await self._clock.sleep(self._session.profile.poll_s)

    async def _round(self) -> None:
        self._look_at_credentials()
        if not self._broker.flying:
            # The error was logged where it was raised. A refresh attempt decides what to do without the store.
            with contextlib.suppress(StoreError):
                await self._session.peek()
        reason = self._broker.due()
        if reason is None or self._stopping:
            return
        if self._broker.flying or call_blocker(self._session, caller_requested=reason.caller_requested) is None:
            await self._broker.fly(reason)
        else:
            self._broker.has_outcome = True

    def _look_at_credentials(self) -> None:
        now = self._clock.monotonic()
        if self.reread_credentials or now - self._credentials_looked_at >= CREDENTIALS_LOOK_S:
            self.reread_credentials = False
            self._credentials_looked_at = now
            self._session.rotation.look()

    async def _rest(self) -> None:
        """Sleep until the next round is due, or `demand` is set."""
        if self._stopping:
            return
        try:
            async with asyncio.timeout(max(SHORTEST_REST_S, self._rest_s())):
                await self._broker.demand.wait()
        except TimeoutError:
            return
        self._broker.demand.clear()

    def _rest_s(self) -> Seconds:
        rest_s = self._beat.rest_s(self._session.profile.poll_s)
        reason = self._broker.due()
        if self._broker.resting:
            return rest_s
        if reason is not None:
            blocker = call_blocker(self._session, caller_requested=reason.caller_requested)
            return min(rest_s, LOOK_AHEAD_S if blocker is None else blocker.retry_after_s + 0.001)
        return min(rest_s, self._next_look_s())

    def _next_look_s(self) -> Seconds:
        """Return the time to the next look: short past the earliest refresh point, when another replica may refresh."""
        replica, profile = self._session.replica, self._session.profile
        if replica.token is None:
            return LOOK_AHEAD_S
        age_s = replica.age_s(self._clock.monotonic())
        first_s = policy.refresh_point_s(replica.token.lifetime_s, profile, 0)
        if age_s < first_s:
            # Spread over one look: all replicas know the token's age by one clock, and would all ask at once.
            return first_s - age_s + self._clock.jitter() * LOOK_AHEAD_S
        due_s = max(0, replica.refresh_at_s - age_s)
        if not self._session.store.up:
            return due_s
        # No replica may replace the token during a pause.
        pause = replica.pause()
        often_s = LOOK_AHEAD_S * (0.75 + self._clock.jitter() / 4)
        return min(often_s + (pause.left_s if pause is not None else 0), due_s)
