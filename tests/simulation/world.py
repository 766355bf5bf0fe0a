"""One whole fleet on virtual time: the store, the partner's accounts, the replicas, and everything between them."""

from __future__ import annotations

import asyncio
import copy
import itertools
import random
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from sidecar.core.model import Profile, Token
from sidecar.core.shared_state import State
from sidecar.stores.documents import sanitize
from sidecar.stores.engine import MemoryStore
from sidecar.vending.assembly import assemble
from tests.simulation.account import Account, Call, Door
from tests.simulation.network import Line, Path
from tests.simulation.plan import Plan
from tests.simulation.process import Process
from tests.simulation.replica import EventWatch, Place, Replica, ReplicaClock, credentials_with
from tests.simulation.replica_truth import Truth, ViolationError
from tests.simulation.watch_apps import AppWatch
from tests.simulation.watch_partner import PartnerWatch
from tests.simulation.watch_store import Answer, StoreWatch
from tests.support.fleet import FileCredentials, StoreClock
from tests.support.virtual_loop import running_loop

TOKENS_SEEN = 8


class ProfileWorld:
    """One profile: its true state, and the watches that check it."""

    def __init__(self, profile: Profile, rng: random.Random, world: World) -> None:
        self.profile = profile
        self.account = Account(rng, world.now)
        self.secret = "secret-0-canary"
        """The API secret in the files of a new process."""
        self.truth = Truth(profile, self.account, world.now, world.bad_way_at, world.lives)
        self.seen: deque[Token] = deque(maxlen=TOKENS_SEEN)
        """Tokens that apps got recently."""
        self.store = StoreWatch(self.truth)
        self.partner = PartnerWatch(self.truth)
        self.apps = AppWatch(self.truth)

    def forgot(self) -> None:
        self.truth.forgot()
        self.store.forgot()


class World:
    """Build it on a running `ProcessLoop`."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(f"world {plan.seed}")
        self.history: list[tuple[float, str, str]] = []
        self._loop = running_loop()
        self.violation: asyncio.Future[str] = self._loop.create_future()
        self.store_clock = StoreClock(self.rng.getrandbits(32))
        self.masters = [MemoryStore(self.store_clock)]
        self.profile_worlds = {profile.name: ProfileWorld(profile, self.rng, self) for profile in plan.profiles}
        self.all: dict[str, Replica] = {}
        self.replicas: dict[str, Replica] = {}
        """The running replicas."""
        self.on_call: Callable[[Replica], None] = lambda _: None
        """Called for each partner call as it is sent: the fault injector acts there."""
        self.faults = 0
        self._numbers = itertools.count(1)

    # -- what happened ------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return self._loop.now_s

    def note(self, who: str, what: str) -> None:
        self.history.append((self.now(), who, what))

    def violated(self, text: str) -> None:
        """Record the first violation only: later ones may follow from it."""
        if not self.violation.done():
            self.note("VIOLATION", text)
            self.violation.set_result(text)

    # -- replicas -----------------------------------------------------------------------------------------------------

    def start(self) -> Replica:
        """A new process; its name is never used again."""
        name = f"r{next(self._numbers)}"
        replica = Replica(name, Process(name, self._loop), Path(), ReplicaClock(self.rng))
        for profile_world in self.profile_worlds.values():
            profile_world.truth.begin(name)
            replica.places[profile_world.profile.name] = self._place(replica, profile_world)
        self.all[name] = self.replicas[name] = replica
        replica.start()
        self.note(name, "starts")
        return replica

    def _place(self, replica: Replica, profile_world: ProfileWorld) -> Place:
        def decide(operation: str, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 - as many types as operations
            return self._decide(replica, profile_world, operation, arguments)

        def calling(call: Call) -> None:
            self._calling(replica, profile_world, call)

        def received(answer: Answer) -> None:
            profile_world.truth.received(replica.name, answer if isinstance(answer, State) else answer.state)

        line = Line(replica.path, profile_world.profile, decide, received, self.rng, self._loop)
        files = FileCredentials(credentials_with(profile_world.secret))
        parts = assemble(
            profile_world.profile,
            replica_id=replica.name,
            clock=replica.clock,
            store=line,
            partner=Door(profile_world.account, profile_world.profile, replica.name, calling),
            credentials=files,
            sink=EventWatch(self.violated),
            beat=replica.beat,
        )
        held = parts.replica
        follow = held.follow

        def follow_and_record(state: State, asked_at: float) -> bool:
            profile_world.truth.replica_truths[replica.name].seen_at = line.decided_at
            return follow(state, asked_at)

        held.follow = follow_and_record  # type: ignore[method-assign]  # the same, with a note
        return Place(parts, line, files)

    def kill(self, replica: Replica) -> None:
        replica.process.kill()
        self.replicas.pop(replica.name, None)

    def goes_on(self, replica: Replica, stopped_s: float) -> None:
        """A stopped process runs again."""
        self.note(replica.name, "goes on")
        self.bad_way_at(replica.name)
        for profile_world in self.profile_worlds.values():
            profile_world.truth.age_error_s = max(profile_world.truth.age_error_s, stopped_s + 1.5)
            profile_world.truth.reads_late(replica.name)
        replica.process.resume()

    def lives(self, name: str) -> bool:
        return not self.all[name].process.dead

    def bad_way_at(self, name: str) -> float:
        """Return when this replica last had no good way to the store; now, if it has none."""
        replica = self.all[name]
        if not replica.path.good or replica.process.stopped:
            replica.bad_way_at = self.now()
        return replica.bad_way_at

    # -- the store and the partner ------------------------------------------------------------------------------------

    def _decide(self, replica: Replica, profile_world: ProfileWorld, operation: str, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401
        store = self.masters[replica.side % len(self.masters)]
        before = _stored_in(store, profile_world.profile) if operation == "claim" else None
        answer = _at_once(getattr(store.shared_state(profile_world.profile), operation)(*arguments))
        outcome = getattr(answer, "outcome", None)
        if operation != "peek":
            self.note(replica.name, f"{profile_world.profile.name}: {operation} {'' if outcome is None else outcome}")
        try:
            profile_world.store.decided(replica.name, operation, arguments, answer, before)
        except ViolationError as violation:
            self.violated(str(violation))
        return answer

    def look(self, profile_world: ProfileWorld) -> State:
        """Return the store's state of a profile, without a replica."""
        state: State = _at_once(self.masters[0].shared_state(profile_world.profile).peek(0))
        return state

    def _calling(self, replica: Replica, profile_world: ProfileWorld, call: Call) -> None:
        self.note(replica.name, f"{profile_world.profile.name}: calls the partner ({call.operation})")
        try:
            profile_world.partner.calling(call)
        except ViolationError as violation:
            self.violated(str(violation))
        self.on_call(replica)

    def lose_data(self) -> None:
        self.masters = [MemoryStore(self.store_clock)]
        for profile_world in self.profile_worlds.values():
            profile_world.truth.data_was_lost()
            profile_world.store.forgot()

    def backup(self) -> dict[str, Any]:
        return copy.deepcopy(self.masters[0]._records)

    def restore(self, backup: dict[str, Any]) -> None:
        """Let a replica of the store take over that lacks the last writes."""
        self.masters[0]._records = backup
        self._sanitize()
        self._forgot()

    def split(self) -> None:
        """Let the store's replica take over for half of the fleet. The master continues for the other half."""
        other = MemoryStore(self.store_clock)
        other._records = self.backup()
        self.masters.append(other)
        for profile_world in self.profile_worlds.values():
            profile_world.truth.split = True
        self._forgot()

    def heal_split(self) -> None:
        """Let one of the two masters discard its data."""
        self.masters = self.masters[-1:]
        for profile_world in self.profile_worlds.values():
            profile_world.truth.heal()
        self._forgot()

    def set_store_clock(self, forward_s: float) -> None:
        self.store_clock.set_forward_s += forward_s
        self._sanitize()
        for profile_world in self.profile_worlds.values():
            profile_world.truth.clock_was_set(forward_s)
            if forward_s > 0:
                profile_world.store.forgot()

    def _sanitize(self) -> None:
        """Move future instants to the present, as Redis and SQLite do at the next access."""
        for store in self.masters:
            for cell in store._records.values():
                if cell.gate is not None:
                    sanitize(cell.gate, store._now_ms())

    def _forgot(self) -> None:
        for profile_world in self.profile_worlds.values():
            profile_world.forgot()


def _stored_in(store: MemoryStore, profile: Profile) -> Token | None:
    cell = store._records.get(profile.profile_id)
    there = cell is not None and store._now_ms() < cell.token_gone_ms
    return cast("Token", cell.token) if there and cell is not None else None


def _at_once(operation: Any) -> Any:  # noqa: ANN401 - the same
    """Run a coroutine that never waits, as the memory store's never do."""
    try:
        operation.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("the memory store waited")
