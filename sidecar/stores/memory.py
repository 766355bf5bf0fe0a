"""The shared state in one process's memory: for development, for one replica, and for whole fleets under test."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sidecar.core.model import Profile, Seconds, Token
from sidecar.core.ports import Clock, SharedState
from sidecar.core.shared import Ask, Claimed, Committed, Failed, Lesson, Rejection, Remembered, State
from sidecar.stores import rules
from sidecar.stores.answers import claimed, state_of
from sidecar.stores.gate import Gate, OutcomeName, View, ms
from sidecar.stores.wire import keep_s


class MemoryStore:
    """Replicas that share one object of this class agree through it. No lock: nothing here ever awaits."""

    kind = "memory"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The wall clock is read once: it may jump, and then no lease and no pause would be what it was.
        self._started_at = clock.wall()
        self._started = clock.monotonic()
        self._cells: dict[str, _Cell] = {}

    def shared_state(self, profile: Profile) -> SharedState:
        return _MemoryState(self, profile)

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def now_ms(self) -> int:
        return round((self._started_at + self._clock.monotonic() - self._started) * 1000)

    def cell(self, profile: Profile) -> _Cell:
        return self._cells.setdefault(profile.profile_id, _Cell())

    def new_gate(self, *, lost: bool) -> Gate:
        return Gate(epoch=self._clock.new_id(), born_ms=self.now_ms(), lost=lost)


@dataclass(slots=True)
class _Cell:
    """What is stored for one profile."""

    gate: Gate | None = None
    token: Token | None = None
    token_gone_ms: int = 0


class _MemoryState:
    """One replica's door to one profile."""

    def __init__(self, store: MemoryStore, profile: Profile) -> None:
        self._store = store
        self._profile = profile

    async def claim(self, ask: Ask) -> Claimed:
        stored = self._stored(lost=ask.epoch != "")
        outcome, left = rules.claim(stored, ask, self._profile)
        view = _view(stored, outcome, left)
        return claimed(view, ask, self._state(view, stored, ask.known))

    async def commit(self, nonce: str, token: Token, age_s: Seconds, lesson: Lesson) -> Committed:
        stored = self._stored(lost=True)
        offered = self._by_our_clock(token, age_s)
        outcome = rules.commit(stored, nonce, offered, lesson)
        self._keep(stored, offered, age_s)
        return Committed(outcome == "stored", self._state(_view(stored, outcome), stored, token.fence))

    async def fail(self, failed: Failed) -> State:
        stored = self._stored(lost=True)
        outcome = rules.fail(stored, failed)
        return self._state(_view(stored, outcome), stored, failed.fence)

    async def reject(self, token_id: str) -> Rejection:
        if self._store.cell(self._profile).gate is None:
            return Rejection(current=False, confirmed=False, state=await self.peek(0))
        stored = self._stored(lost=True)
        outcome = rules.reject(stored, token_id)
        known = 0 if outcome == "late" else stored.token_fence
        state = self._state(_view(stored, outcome), stored, known)
        return Rejection(current=outcome == "current", confirmed=outcome == "confirmed", state=state)

    async def peek(self, known: int) -> State:
        cell = self._store.cell(self._profile)
        stored = rules.Stored(cell.gate or Gate(epoch="", born_ms=0), self._token(cell), self._store.now_ms())
        return self._state(_view(stored, "seen"), stored, known)

    async def seed(self, remembered: Remembered) -> State:
        stored = self._stored(lost=remembered.state.epoch != "")
        token, age_s = remembered.token, remembered.token_age_s
        offered = None if token is None else self._by_our_clock(token, age_s)
        outcome = rules.seed(stored, remembered, offered, self._profile)
        self._keep(stored, offered, age_s)
        return self._state(_view(stored, outcome), stored, offered.fence if offered else 0)

    def _stored(self, *, lost: bool) -> rules.Stored:
        """What is stored, with a gate made where there is none; `lost` says whether there was one before."""
        cell = self._store.cell(self._profile)
        cell.gate = cell.gate or self._store.new_gate(lost=lost)
        return rules.Stored(cell.gate, self._token(cell), self._store.now_ms())

    def _token(self, cell: _Cell) -> Token | None:
        return cell.token if self._store.now_ms() < cell.token_gone_ms else None

    def _keep(self, stored: rules.Stored, offered: Token | None, age_s: Seconds) -> None:
        """Keep the token that was decided for, when it is the offered one."""
        if offered is None or stored.token is not offered:
            return
        cell = self._store.cell(self._profile)
        cell.token = offered
        cell.token_gone_ms = stored.now_ms + ms(keep_s(offered, age_s, self._profile))

    def _by_our_clock(self, token: Token, age_s: Seconds) -> Token:
        issued_ms = min(self._store.now_ms() - ms(age_s), round(token.issued_at * 1000))
        return replace(token, issued_at=issued_ms / 1000)

    def _state(self, view: View, stored: rules.Stored, known: int) -> State:
        return state_of(view, self._profile, stored.token if stored.token_fence > known else None)


def _view(stored: rules.Stored, outcome: OutcomeName, left: int = 0) -> View:
    return View(stored.now_ms, outcome, left, stored.gate, stored.beside())
