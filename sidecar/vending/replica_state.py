"""The state of one replica: the token it holds, and the mirror of the store's state, in local monotonic time.

Plain values and no I/O. The profile's task and its refresh attempt write it, requests read it; all on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sidecar.core import policy
from sidecar.core.errors import FailureKind, PartnerDetail
from sidecar.core.model import Lifetime, MonotonicTime, Profile, Seconds, Token, UtcTime
from sidecar.core.policy import Condition
from sidecar.core.ports import Clock
from sidecar.core.shared_state import FailureReport, LearnedLifetime, ReplicaMemory, Reported, State
from sidecar.vending.store_clock import Ends, ShownTime, StoreTime
from sidecar.vending.store_mirror import StoreMirror, has_lost_facts, with_failure, with_heard, with_success


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFailure:
    """A failed partner call of this replica, and when it ended. For display only."""

    kind: FailureKind
    detail: PartnerDetail | None
    ended: MonotonicTime


class ReplicaState:
    """One replica's state of one profile. Its attributes are written by its own methods only."""

    def __init__(self, profile: Profile, clock: Clock) -> None:
        self._profile = profile
        self._clock = clock
        self.token: Token | None = None
        self.born: MonotonicTime = 0
        """When the token was requested. Fixed when it is first seen, so no later step of any clock makes it younger."""
        self.refresh_at_s: Seconds = 0
        """The age at which this replica refreshes the token ahead."""
        self.taken: MonotonicTime | None = None
        self.replaced_ids: deque[str] = deque(maxlen=8)
        """Ids of the tokens vended before: a report of one is late."""
        self.last_failure: OwnFailure | None = None
        self.mirror = StoreMirror(State(), clock.monotonic(), profile.budget)
        """The store's last state, with what this replica recorded itself."""
        self.has_unsaved = False
        """Whether a token, a pause or a report is recorded here that the store does not have yet."""
        self.clock_stepped = False
        """Whether the store's clock was set, and the token's age has not been sent to the store since."""
        self.store_time = StoreTime(clock)
        self.shown_time, self.ends = ShownTime(clock), Ends(clock)
        self._changed = asyncio.Event()

    # -- the held token -----------------------------------------------------------------------------------------------

    @property
    def known_fence(self) -> int:
        """The held token's fence; 0 without one."""
        return self.token.fence if self.token is not None else 0

    @property
    def token_id(self) -> str:
        """The held token's id; empty without one."""
        return self.token.token_id if self.token is not None else ""

    @property
    def issued_at(self) -> UtcTime:
        """When the held token was requested, as it is shown."""
        return self.shown_time.at(self.born)

    def age_s(self, now: MonotonicTime) -> Seconds:
        return now - self.born

    @property
    def is_reported(self) -> bool:
        """Whether the held token was reported."""
        reported = self.mirror.state.reported
        return reported is not None and reported.token_id == self.token_id

    def condition(self, now: MonotonicTime) -> Condition:
        """EXPIRED also when there is no token."""
        if self.token is None:
            return Condition.EXPIRED
        return policy.condition(
            self.age_s(now),
            self.token.lifetime_s,
            self.token.lifetime,
            rejected=self.is_reported,
            refresh_at_s=self.refresh_at_s,
            profile=self._profile,
        )

    def is_good(self, now: MonotonicTime) -> bool:
        """Whether the held token would be vended unmarked."""
        return self.condition(now) in (Condition.FRESH, Condition.STALE)

    def left_s(self, now: MonotonicTime) -> Seconds:
        """Seconds of life left, 0 without a token."""
        return 0 if self.token is None else max(0, self.token.lifetime_s - self.age_s(now))

    @property
    def lifetime_s(self) -> Seconds:
        """The held token's declared lifetime, else the lifetime expected of an undeclared token."""
        if self.token is not None and self.token.lifetime is Lifetime.DECLARED:
            return self.token.lifetime_s
        return policy.expected_lifetime(None, self.mirror.state.learned, self._profile)[0]

    def changed(self) -> asyncio.Event:
        """Return an event that is set at the next change of token. Call again afterwards: each change has its own."""
        return self._changed

    def take(self, token: Token, born: MonotonicTime) -> None:
        """Vend this token from now on."""
        again = self.token is not None and self.token.token_id == token.token_id
        if self.token is not None and not again:
            self.replaced_ids.append(self.token.token_id)
        self.token = token
        self.born = born
        self.refresh_at_s = policy.refresh_point_s(token.lifetime_s, self._profile, self._clock.jitter())
        if again and token.lifetime is Lifetime.DECLARED:
            # The partner returns one token until it expires: an earlier request would bring the same one.
            self.refresh_at_s = policy.usable_s(token.lifetime_s, self._profile)
        # The drift between this machine's clocks under the previous token is not carried over.
        self.taken, self.shown_time = self._clock.monotonic(), ShownTime(self._clock)
        self._changed.set()
        self._changed = asyncio.Event()

    def take_ids_of(self, other: ReplicaState) -> None:
        """Take the ids of the tokens that `other` vended: its callers may still report them here."""
        for token_id in (*other.replaced_ids, other.token_id):
            if token_id and token_id not in self.replaced_ids:
                self.replaced_ids.append(token_id)

    # -- replies of the store -----------------------------------------------------------------------------------------

    def follow_clock(self, read: UtcTime, asked_at: MonotonicTime) -> Seconds:
        """Take the store's clock from a reply. Return by how much it was set since the last one; 0 when it was not."""
        step_s = self.store_time.step_s(read, asked_at)
        self.store_time.follow(read, asked_at)
        if step_s:
            self.clock_stepped = True
            if self.token is not None:
                self.token = replace(self.token, issued_at=self.store_time.at(self.born))
        return step_s

    def knows_more_than(self, state: State) -> bool:
        """Whether the store lost a fact that this replica has."""
        now = self._clock.monotonic()
        ours = self.mirror.at(now)
        if self.has_unsaved or has_lost_facts(state, ours, self._profile.budget.window_s):
            return True
        # A token this replica cannot open is not a lost one: offering ours again and again would not change that.
        if self.token is None or state.has_unreadable_token:
            return False
        # Compared with what the store had, not with what we hold: a token just fetched is not committed yet.
        return self.condition(now) is not Condition.EXPIRED and state.token_fence < ours.token_fence

    def follow(self, state: State, asked_at: MonotonicTime) -> bool:
        """Take the store's state. Return True when that brought another token.

        A token's age counts from `asked_at`, before the store was asked, so it is never younger here than in the store.
        """
        brought = state.token is not None and self._is_another(state.token)
        if not brought and self.is_reported and state.token_id != self.token_id:
            # The store has another token. Its state says nothing new about the held one.
            state = replace(state, reported=self.mirror.state.reported)
        self._set_mirror(state)
        if brought and state.token is not None:
            self.take(state.token, asked_at - max(0, state.now - state.token.issued_at))
        return brought

    def hear(self, state: State) -> None:
        """Take the facts that must not be lost from a reply that is not followed."""
        self._set_mirror(with_heard(self._now_state(), state, self.token_id))

    def _is_another(self, token: Token) -> bool:
        held = self.token
        if held is None or token.fence > held.fence:
            return True
        # Two masters may have given out one fence twice. Then the store's token counts.
        return token.fence == held.fence and token.token_id != held.token_id

    @property
    def asks_beyond(self) -> int:
        """The fence to read the store with: the held token's, or 1 less if the store has its fence with another id."""
        held, state = self.token, self.mirror.state
        if held is not None and held.fence == state.token_fence and held.token_id != state.token_id:
            return held.fence - 1
        return self.known_fence

    @contextmanager
    def offered(self) -> Iterator[ReplicaMemory]:
        """What to seed the store with; saved when the block ends without an error. What is recorded in it is not."""
        self.has_unsaved = False
        try:
            yield self.remembered()
        except BaseException:
            self.has_unsaved = True
            raise
        self.clock_stepped = False

    def remembered(self) -> ReplicaMemory:
        """Return the seed for a store that lost data, or whose clock was set."""
        token, age_s = self.token, 0.0
        if token is not None:
            age_s = self.age_s(self._clock.monotonic())
            token = replace(token, issued_at=self.store_time.at(self.born))
        return ReplicaMemory(state=self._now_state(), token=token, token_age_s=age_s, clock_stepped=self.clock_stepped)

    # -- what this replica records itself while the store is down -----------------------------------------------------

    def begin_local_call(self) -> int:
        """Draw the fence of a call without a lease: odd, so no lease can have it; at least the store's milliseconds."""
        store_ms = int(self.store_time.at(self._clock.monotonic()) * 1000)
        fence = max(self.mirror.state.fence + 1, self.known_fence + 1, store_ms) | 1
        self._record(replace(self._now_state(), fence=fence))
        return fence

    def record_success(self, token: Token, learned: LearnedLifetime) -> None:
        """Record that our call brought this token. Records nothing if a newer token is held by now."""
        if self.known_fence <= token.fence:
            self._record(with_success(self._now_state(), token, learned))

    def record_failure(self, failed: FailureReport) -> None:
        self._record(with_failure(self._now_state(), failed))

    def record_report(self, token_id: str) -> None:
        """Record that the held token was reported."""
        age_s = self.age_s(self._clock.monotonic())
        self._record(replace(self._now_state(), reported=Reported(token_id, self.mirror.state.fence, age_s)))

    def _record(self, state: State) -> None:
        self._set_mirror(state)
        self.has_unsaved = True

    def show_failure(self, kind: FailureKind, detail: PartnerDetail | None) -> None:
        """Keep this as the last failure of a call of this replica."""
        self.last_failure = OwnFailure(kind=kind, detail=detail, ended=self._clock.monotonic())

    def _set_mirror(self, state: State) -> None:
        self.mirror = StoreMirror(state, self._clock.monotonic(), self._profile.budget)

    def _now_state(self) -> State:
        return self.mirror.at(self._clock.monotonic())
