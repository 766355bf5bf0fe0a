"""What one replica believes: the token it holds and the store's state as last seen, in local monotonic time.

Plain values and no I/O. Written by the profile's one task and its flight, read by requests; all on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from sidecar.core import policy
from sidecar.core.failures import FailureKind, PartnerDetail
from sidecar.core.forgotten import forgot
from sidecar.core.model import Instant, Lifetime, Moment, Profile, Seconds, Token
from sidecar.core.policy import Condition
from sidecar.core.ports import Clock
from sidecar.core.run_on import run_on
from sidecar.core.shared import Failed, Lesson, Pause, Remembered, State
from sidecar.vending.store_time import StoreTime
from sidecar.vending.vendor import LastFailure


class View:
    """One replica's view of one profile."""

    def __init__(self, profile: Profile, clock: Clock) -> None:
        self._profile = profile
        self._clock = clock
        self.token: Token | None = None
        self.born: Moment = 0
        """When the token was asked for. Fixed at first sight, so no later step of any clock makes it younger."""
        self.refresh_at_s: Seconds = 0
        """The token's age at which this replica refreshes ahead."""
        self.taken_at: Instant = 0
        self.replaced_ids: deque[str] = deque(maxlen=8)
        """Ids of the tokens vended before: a report of one is late."""
        self.last_failure: LastFailure | None = None
        self.calling = False
        """A partner call is out, by this replica."""
        self.unanswered: tuple[str, int] = ("", 0)
        """The nonce of a claim whose answer was lost, and the fence known then."""
        self.unsaved = False
        """We know something the store does not: a token, a pause or a report it could not be told."""
        self.clock_stepped = False
        """The store's clock was set, and has not been told the token's age since."""
        # What the store said last, with what we had to note ourselves; read at `_seen_at`.
        self._state = State()
        self._seen_at: Moment = clock.monotonic()
        self.store_time = StoreTime(clock)
        self._changed = asyncio.Event()

    # -- what is held -------------------------------------------------------------------------------------------------

    @property
    def known_fence(self) -> int:
        """The held token's fence; 0 without one."""
        return self.token.fence if self.token is not None else 0

    def age_s(self, now: Moment) -> Seconds:
        return now - self.born

    @property
    def rejected(self) -> bool:
        return self.token is not None and self.token.token_id == self._state.rejected_id

    def condition(self, now: Moment) -> Condition:
        """EXPIRED also when there is no token."""
        if self.token is None:
            return Condition.EXPIRED
        return policy.condition(
            self.age_s(now),
            self.token.lifetime_s,
            self.token.lifetime,
            rejected=self.rejected,
            refresh_at_s=self.refresh_at_s,
            profile=self._profile,
        )

    def left_s(self, now: Moment) -> Seconds:
        """Seconds of life left, 0 without a token."""
        return 0 if self.token is None else max(0, self.token.lifetime_s - self.age_s(now))

    @property
    def lifetime_s(self) -> Seconds:
        """The lifetime a token has here: the held one's, else what the next one is believed to get."""
        if self.token is not None and self.token.lifetime is Lifetime.DECLARED:
            return self.token.lifetime_s
        return policy.believed_lifetime(None, self._state.lesson, self._profile)[0]

    def changed(self) -> asyncio.Event:
        """Set at the next change of token. Ask again afterwards: each change has an event of its own."""
        return self._changed

    # -- what the store said ------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The state as last seen; its durations have run on since (`remembered` brings them up to date)."""
        return self._state

    def knows_more_than(self, state: State) -> bool:
        """Whether the store lost something this replica remembers."""
        ours = self._now_state()
        if self.unsaved or forgot(ours, state):
            return True
        # A token this replica cannot open is not a lost one: offering ours again and again would not change that.
        if self.token is None or "seal" in state.damaged:
            return False
        # Compared with what the store had, not with what we hold: a token just fetched is not committed yet.
        alive = self.condition(self._clock.monotonic()) is not Condition.EXPIRED
        return alive and state.token_fence < ours.token_fence

    def follow(self, state: State, asked_at: Moment) -> bool:
        """Take the store's word. True when that brought another token.

        `asked_at`, before the store was asked, is where a token's age is counted from: it is never younger here.
        """
        brought = state.token is not None and self._is_another(state.token)
        if not brought and self.rejected and state.token_id != self._state.rejected_id:
            # The store speaks of another token; of the held one it has said nothing new.
            state = replace(state, rejected_id=self._state.rejected_id, rejected_age_s=self._state.rejected_age_s)
        self._state = state
        self._seen_at = self._clock.monotonic()
        if brought and state.token is not None:
            self.take(state.token, asked_at - max(0, state.now - state.token.issued_at))
        elif self.token is not None and state.token_fence == self.token.fence and state.token_id == self.token.token_id:
            # Every replica shows the same instants: the store's, unless they make the token younger than it is.
            self.token = replace(self.token, issued_at=self.store_time.no_later(state.token_issued_at, self.born))
        return brought

    def _is_another(self, token: Token) -> bool:
        held = self.token
        if held is None or token.fence > held.fence:
            return True
        # Two masters may have given out one fence twice; then the store's word holds.
        return token.fence == held.fence and token.token_id != held.token_id

    @property
    def asks_beyond(self) -> int:
        """The fence beyond which the store's token is to be shown: the held one's, unless the store has its twin."""
        held, state = self.token, self._state
        if held is not None and held.fence == state.token_fence and held.token_id != state.token_id:
            return held.fence - 1
        return self.known_fence

    def take(self, token: Token, born: Moment) -> None:
        """Vend this token from now on."""
        again = self.token is not None and self.token.token_id == token.token_id
        if self.token is not None and not again:
            self.replaced_ids.append(self.token.token_id)
        self.token = token
        self.born = born
        self.refresh_at_s = policy.refresh_point_s(token.lifetime_s, self._profile, self._clock.jitter())
        if again and token.lifetime is Lifetime.DECLARED:
            # The partner hands out one token until it ends: whoever asked for another before would ask in vain.
            self.refresh_at_s = policy.usable_s(token.lifetime_s, self._profile)
        self.taken_at = self._clock.wall()
        self._changed.set()
        self._changed = asyncio.Event()

    def failed(self, kind: FailureKind, detail: PartnerDetail | None) -> None:
        """Remember the latest failure of this replica's own calls, for people."""
        self.last_failure = LastFailure(kind=kind, at=self._clock.wall(), detail=detail)

    # -- what this replica had to note itself, because the store was away ---------------------------------------------

    def note_success(self, lesson: Lesson) -> None:
        """The token just taken could not be committed."""
        confirmed = self._state.rejected_id if self.rejected else ""
        self._note(
            fence=max(self._state.fence, self.known_fence),
            pause=None,
            strikes={},
            rejected_id="",
            confirmed_id=confirmed,
            lesson=lesson,
        )

    def note_failure(self, failed: Failed) -> None:
        """A failure the store could not be told."""
        state, pause = self._now_state(), failed.pause
        # With the fence, the store can tell this failure from one that a newer token has made history.
        noted = {
            "fence": max(failed.fence, state.fence),
            "refresh_dropped": max(failed.drop_refresh, state.refresh_dropped),
        }
        if pause is None:
            self._note(**noted)
        elif pause.kind is FailureKind.REJECTED:
            self._note(refused={**state.refused, failed.credentials_id: pause}, **noted)
        else:
            self._note(pause=pause, strikes={**state.strikes, pause.kind.value: pause.strikes}, **noted)

    def note_rejected(self, token_id: str, age_s: Seconds) -> None:
        self._note(rejected_id=token_id, rejected_age_s=age_s)

    def _note(self, **changes: object) -> None:
        self._state = replace(self._now_state(), **changes)  # type: ignore[arg-type]  # the callers above are typed
        self.unsaved = True

    def remembered(self) -> Remembered:
        """What to offer a store that forgot, or whose clock was set."""
        token, age_s = self.token, 0.0
        if token is not None:
            age_s = self.age_s(self._clock.monotonic())
            token = replace(token, issued_at=self.store_time.at(self.born))
        return Remembered(state=self._now_state(), token=token, token_age_s=age_s, clock_stepped=self.clock_stepped)

    def _now_state(self) -> State:
        """The state with every duration brought to this moment."""
        now = self._clock.monotonic()
        self._state = run_on(self._state, now - self._seen_at, self._profile.budget.window_s)
        self._seen_at = now
        return self._state

    # -- what stands in the way of a call -----------------------------------------------------------------------------

    def pause(self) -> Pause | None:
        """The pause that is running now."""
        pause = self._now_state().pause
        return pause if pause is not None and pause.left_s > policy.TICK_S else None

    def refused(self) -> Mapping[str, Pause]:
        """The credentials the partner refuses now, by id."""
        return {key: pause for key, pause in self._now_state().refused.items() if pause.left_s > policy.TICK_S}

    def strikes(self, kind: FailureKind, credentials_id: str) -> int:
        """How many failures of this kind there were since the last token."""
        if kind is FailureKind.REJECTED:
            refused = self._state.refused.get(credentials_id)
            return 0 if refused is None else refused.strikes
        return self._state.strikes.get(kind.value, 0)

    def lease_left_s(self) -> Seconds:
        return self._now_state().lease_left_s

    def permit_wait_s(self, *, on_demand: bool) -> Seconds:
        """How long until the fleet's budget has room again; 0 while it has."""
        state, budget = self._now_state(), self._profile.budget
        wait_s = policy.permit_wait_s(state.grant_ages_s, budget.calls, budget.window_s)
        if on_demand:
            demand_s = policy.permit_wait_s(state.demand_ages_s, budget.on_demand_calls, budget.window_s)
            wait_s = max(wait_s, demand_s)
        return wait_s

    @property
    def permits_left(self) -> int:
        return max(0, self._profile.budget.calls - len(self._now_state().grant_ages_s))
