"""One task per profile: follow the store, refresh ahead, watch the credentials. No request cancels it.

It also runs the refresh attempts that requests wait for. All profiles of a process read the store at the same time: a
wake-up costs more than a read, because the processor's caches no longer hold the last round's data. Four profiles that
read together cost two fifths of what they cost one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.core import policy
from sidecar.core.errors import StoreError
from sidecar.core.events import AttemptEnded, AttemptResult, InternalFailure
from sidecar.core.model import MonotonicTime, Profile, Reason, Seconds
from sidecar.core.ports import Clock, EventSink
from sidecar.core.safe_traceback import safe_traceback
from sidecar.vending.call_blockers import CallBlockers
from sidecar.vending.credential_rotation import CredentialRotation
from sidecar.vending.refresh_attempt import LOOK_AHEAD_S, Blocked, RefreshAttempt, RefreshResult
from sidecar.vending.replica_state import ReplicaState
from sidecar.vending.singleflight import SingleFlight
from sidecar.vending.store_session import StoreSession

TOGETHER_S: Seconds = 0.01
"""A beat that is nearer than this counts as over: timers fire a little early or late."""
CREDENTIALS_LOOK_S: Seconds = 5
"""How often the mounted files are read; the kubelet itself takes up to a minute to change them."""
SHORTEST_REST_S: Seconds = 0.01
"""A rest that ends a rounding error before the time it waits for must not become a busy loop."""


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


@dataclass(slots=True, kw_only=True, eq=False)
class Refresher:
    """Replaces one profile's token before it expires, until `stop`, and runs one refresh attempt at a time."""

    profile: Profile
    clock: Clock
    session: StoreSession
    replica: ReplicaState
    rotation: CredentialRotation
    blockers: CallBlockers
    new_attempt: Callable[[Reason, int], RefreshAttempt]
    beat: Beat
    sink: EventSink
    touched_at: MonotonicTime = field(init=False)
    """When a caller last requested a token."""
    is_closed: bool = field(default=False, init=False)
    has_outcome: bool = field(default=False, init=False)
    """Whether a refresh attempt has ended, or a call blocker prevented one, since the start."""
    _attempts: SingleFlight[str, RefreshResult] = field(default_factory=SingleFlight, init=False)
    _attempt: RefreshAttempt | None = field(default=None, init=False)
    """The running one."""
    _requested: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _stopping: bool = field(default=False, init=False)
    _credentials_looked_at: MonotonicTime = field(init=False)
    _credentials_due: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.touched_at = self._credentials_looked_at = self.clock.monotonic()

    def touch(self, at: MonotonicTime) -> None:
        """Note that a caller requested a token: the profile does not rest."""
        self.touched_at = at

    # -- the task -----------------------------------------------------------------------------------------------------

    def request(self) -> None:
        """Start the next round now. It finds out itself what is due."""
        self._requested.set()

    def reload_credentials(self) -> None:
        """Read the credentials now."""
        self._credentials_due = True
        self.request()

    def stop(self) -> None:
        self._stopping = True
        self.request()

    async def run(self) -> None:
        """Run rounds until `stop`. A bug in a round is logged, and the next round runs: apps still use the token."""
        while not self._stopping:
            try:
                await self._round()
                await self._rest()
            except Exception as error:  # noqa: BLE001 - a bug must not end the task that keeps the token alive
                self.sink.emit(
                    InternalFailure(profile=self.profile.name, where="maintainer", trace=safe_traceback(error))
                )
                await self.clock.sleep(self.profile.poll_s)

    async def _round(self) -> None:
        self._reload_credentials_if_due()
        if not self.is_refreshing:
            # The error was logged where it was raised. A refresh attempt decides what to do without the store.
            with contextlib.suppress(StoreError):
                await self.session.peek()
        reason = self.due()
        if reason is None or self._stopping:
            return
        if self.is_refreshing or self.blockers.find(caller_requested=reason.caller_requested) is None:
            await self.refresh(reason)
        else:
            self.has_outcome = True

    def _reload_credentials_if_due(self) -> None:
        now = self.clock.monotonic()
        if self._credentials_due or now - self._credentials_looked_at >= CREDENTIALS_LOOK_S:
            self._credentials_due = False
            self._credentials_looked_at = now
            self.rotation.reload()

    async def _rest(self) -> None:
        """Sleep until the next round is due or requested."""
        if self._stopping:
            return
        try:
            async with asyncio.timeout(max(SHORTEST_REST_S, self._rest_s())):
                await self._requested.wait()
        except TimeoutError:
            return
        self._requested.clear()

    def _rest_s(self) -> Seconds:
        rest_s = self.beat.rest_s(self.profile.poll_s)
        if self.resting:
            return rest_s
        if (reason := self.due()) is not None:
            blocker = self.blockers.find(caller_requested=reason.caller_requested)
            return min(rest_s, LOOK_AHEAD_S if blocker is None else blocker.retry_after_s + 0.001)
        return min(rest_s, self._next_look_s())

    def _next_look_s(self) -> Seconds:
        """Return the time to the next look: short past the earliest refresh point, when another replica may refresh."""
        replica, now = self.replica, self.clock.monotonic()
        if replica.token is None:
            return LOOK_AHEAD_S
        age_s = replica.age_s(now)
        first_s = policy.refresh_point_s(replica.token.lifetime_s, self.profile, 0)
        if age_s < first_s:
            # Spread over one look: all replicas know the token's age by one clock, and would all ask at once.
            return first_s - age_s + self.clock.jitter() * LOOK_AHEAD_S
        due_s = max(0, replica.refresh_at_s - age_s)
        if not self.session.up:
            return due_s
        # No replica may replace the token during a pause.
        pause = replica.mirror.pause(now)
        often_s = LOOK_AHEAD_S * (0.75 + self.clock.jitter() / 4)
        return min(often_s + (pause.left_s if pause is not None else 0), due_s)

    # -- refresh attempts ---------------------------------------------------------------------------------------------

    @property
    def is_refreshing(self) -> bool:
        return self._attempts.running("token")

    async def refresh(self, reason: Reason) -> RefreshResult:
        """Join the running refresh attempt, or start one for this reason. `Blocked` when this process is stopping."""
        if self.is_closed:
            return self._blocked(reason)
        try:
            # Read now, when the need was seen: a token adopted before the attempt starts meets the need.
            known = self.replica.known_fence
            return await self._attempts.join("token", lambda: self._run_attempt(reason, known))
        except asyncio.CancelledError:
            if self._is_cancelled_by_close():
                # The caller still needs an answer.
                return self._blocked(reason)
            raise

    def _is_cancelled_by_close(self) -> bool:
        """Whether `close` cancelled the attempt, and nobody cancelled this caller."""
        task = asyncio.current_task()
        return self.is_closed and task is not None and not task.cancelling()

    def _blocked(self, reason: Reason) -> Blocked:
        return Blocked(self.blockers.reason(caller_requested=reason.caller_requested))

    async def _run_attempt(self, reason: Reason, known: int) -> RefreshResult:
        result: AttemptResult = "failed"
        self._attempt = self.new_attempt(reason, known)
        try:
            ended = await self._attempt.run()
            result = ended.event_result
            return ended
        finally:
            self._attempt = None
            self.has_outcome = True
            self.sink.emit(AttemptEnded(profile=self.profile.name, reason=reason, result=result))

    def due(self) -> Reason | None:
        """Return why a refresh attempt is due; None while none is due or the profile rests."""
        replica, now = self.replica, self.clock.monotonic()
        if self.resting:
            return None
        if replica.token is None:
            return Reason.START
        age_s = replica.age_s(now)
        if age_s >= policy.usable_s(replica.token.lifetime_s, self.profile):
            return Reason.MISS
        if age_s >= replica.refresh_at_s:
            return Reason.AHEAD
        if replica.is_reported:
            return Reason.REJECTED
        rotation, blocks = self.rotation, replica.mirror.credential_blocks(now)
        return Reason.AHEAD if rotation.on_trial and rotation.newest.credentials_id not in blocks else None

    @property
    def resting(self) -> bool:
        """Whether no request came for `idle_s`. The token may then expire until the next request."""
        idle_s = self.profile.idle_s
        return idle_s > 0 and self.clock.monotonic() - self.touched_at >= idle_s

    async def close(self) -> None:
        """Start no attempt any more, and end the running one. A running partner call is failed after 1 s."""
        self.is_closed = True
        is_calling = self._attempt is not None and self._attempt.is_calling
        await self._attempts.close(grace_s=1 if is_calling else 0, cancel_s=0.9)
