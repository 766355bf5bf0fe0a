"""The faults: each begins at a random moment, lasts a while, and has ended when the storm is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from sidecar.core.errors import FailureKind
from sidecar.vending.local_budget import FIRST_DELAY_S
from tests.simulation.network import Path
from tests.simulation.plan import Fault
from tests.simulation.process import OUTSIDE
from tests.simulation.process_faults import ProcessFaults
from tests.simulation.replica import Replica, credentials_with
from tests.simulation.world import ProfileWorld, World

DAY_S = 86_400
RETRY_AFTERS_S = (None, 3, 20, 60)


class FaultInjector:
    """Inject faults into a world until `_calm`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng
        self._lasting: dict[asyncio.Task[None], None] = {}
        """In the order in which they began and will end. The order of a set would differ between runs."""
        self._targeted = sorted(world.plan.faults & {Fault.KILL, Fault.PAUSE})
        self._process_faults = ProcessFaults(world, self._last, self._some_time_s)
        self._families: dict[Fault, Callable[[], Coroutine[Any, Any, None]]] = {
            Fault.KILL: lambda: self._process_fault(Fault.KILL),
            Fault.PAUSE: lambda: self._process_fault(Fault.PAUSE),
            Fault.RESTART: self._restart,
            Fault.LINE: self._line,
            Fault.LOSS: self._loss,
            Fault.FAILOVER: self._failover,
            Fault.SPLIT: self._split,
            Fault.STORE_CLOCK: self._store_clock,
            Fault.WALL_CLOCKS: self._wall_clocks,
            Fault.PARTNER: self._partner,
            Fault.THROTTLE: self._throttle,
            Fault.REVOKE: self._revoke,
            Fault.CREDENTIALS: self._credentials,
            Fault.CUT: self._cut,
            Fault.STORE_CLOCK_BACK: self._store_clock_back,
            Fault.ONE_TOKEN: self._revoke_at_once,
        }
        self._chosen = [self._families[fault] for fault in Fault if fault in world.plan.faults & set(self._families)]

    async def storm(self) -> None:
        """Start faults for as long as the plan says, then end all of them."""
        world = self._world
        if self._targeted:
            world.on_call = lambda caller: self._process_faults.at_the_caller(caller, self._targeted)
        if world.plan.process_fault is not None:
            fault, step = world.plan.process_fault
            first = next(iter(world.replicas.values()))
            self._process_faults.before_step(first, fault, step, 1.2 * world.plan.profiles[0].lease_limit_s)
        ends_at = world.now() + world.plan.storm_s
        while self._chosen and (wait_s := self._rng.expovariate(1 / world.plan.every_s)) < ends_at - world.now():
            await asyncio.sleep(wait_s)
            self._last(self._rng.choice(self._chosen)())
        await asyncio.sleep(max(0, ends_at - world.now()))
        await self._calm()

    async def _calm(self) -> None:
        """Each fault ends in its own way, now; then nothing is left that a person would have to reset."""
        world = self._world
        world.on_call = lambda _: None
        # First of all: a process that is resumed now must not get another fault, which nothing would end.
        for replica in world.replicas.values():
            replica.process.before_step = None
        for task in self._lasting:
            task.cancel()
        await asyncio.gather(*self._lasting, return_exceptions=True)
        for profile_world in world.profile_worlds.values():
            profile_world.account.reset()
            profile_world.account.accepted.add(profile_world.secret)
            for replica in world.replicas.values():
                replica.places[profile_world.profile.name].files.credentials = credentials_with(profile_world.secret)
        for replica in world.replicas.values():
            replica.path.reset()
        world.note("faults", "calm")

    def _last(self, fault: Coroutine[Any, Any, None]) -> None:
        self._world.faults += 1
        # The caller may be a step of a process. The task must not be stopped with that process.
        task = asyncio.get_running_loop().create_task(fault, context=OUTSIDE.copy())
        self._lasting[task] = None
        task.add_done_callback(self._lasting.pop)

    def _some_time_s(self) -> float:
        """Return a random duration. Most faults are short, some outlast a token."""
        return self._rng.choice([0.3, 3, 15, 60]) * self._rng.random()

    def _replica(self) -> Replica | None:
        running = list(self._world.replicas.values())
        return self._rng.choice(running) if running else None

    def _profile_world(self) -> ProfileWorld:
        return self._rng.choice(list(self._world.profile_worlds.values()))

    # -- processes ----------------------------------------------------------------------------------------------------

    async def _process_fault(self, fault: Fault) -> None:
        replica = self._replica()
        if replica is not None:
            self._process_faults.at(replica, fault)

    async def _restart(self) -> None:
        replica = self._replica()
        if replica is None or replica.process.stopped:
            return
        self._world.note(replica.name, "gets SIGTERM")
        self._world.replicas.pop(replica.name)
        try:
            await asyncio.wait({replica.run(replica.terminate())}, timeout=3)
            replica.process.kill()
        finally:
            self._world.start()

    # -- the store ----------------------------------------------------------------------------------------------------

    async def _line(self) -> None:
        """Break one replica's way to the store, or all ways, as if the store were down."""
        replicas = list(self._world.replicas.values())
        hit = replicas if self._rng.random() < 0.4 else replicas[:1]
        kind, lasts_s = self._rng.choice(["refused", "black_hole", "loss", "late", "slow_s"]), self._some_time_s()
        await self._spoil(hit, kind, {"loss": 0.4, "late": 0.4, "slow_s": 0.6}.get(kind, True), lasts_s)

    async def _cut(self) -> None:
        """Cut some replicas off for longer than they wait before a local call, while others reach the store."""
        replicas = list(self._world.replicas.values())
        hit = self._rng.sample(replicas, (len(replicas) + 1) // 2)
        kind, value = self._rng.choice([("refused", True), ("black_hole", True), ("loss", 0.8), ("loss", 0.6)])
        for _ in range(self._rng.choice([1, 5])):
            await self._spoil(hit, kind, value, FIRST_DELAY_S + self._rng.choice([2, 10, 40]) * self._rng.random())
            await asyncio.sleep(self._rng.random() / 2)

    async def _spoil(self, hit: list[Replica], kind: str, value: float, lasts_s: float) -> None:
        self._world.note("faults", f"{kind} for {[replica.name for replica in hit]}")
        for replica in hit:
            setattr(replica.path, kind, value)
        try:
            await asyncio.sleep(lasts_s)
        finally:
            for replica in hit:
                self._world.bad_way_at(replica.name)
                setattr(replica.path, kind, getattr(Path(), kind))
            self._world.note("faults", f"no more {kind}")

    async def _loss(self) -> None:
        self._world.note("store", "comes back empty")
        self._world.lose_data()

    async def _failover(self) -> None:
        backup = self._world.backup()
        await asyncio.sleep(self._rng.random() * 2)
        self._world.note("store", "fails over, without its last writes")
        self._world.restore(backup)

    async def _split(self) -> None:
        if len(self._world.masters) > 1:
            return
        self._world.note("store", "two masters")
        self._world.split()
        for replica in self._world.replicas.values():
            replica.side = self._rng.randrange(2)
        try:
            await asyncio.sleep(self._some_time_s())
        finally:
            self._world.note("store", "one master again")
            self._world.heal_split()

    async def _store_clock(self) -> None:
        step_s = self._rng.choice([2, 60, DAY_S])
        self._world.note("store", f"its clock is set forward by {step_s} s")
        self._world.set_store_clock(step_s)

    async def _store_clock_back(self) -> None:
        step_s = self._rng.choice([2, 60, DAY_S])
        self._world.note("store", f"its clock is set back by {step_s} s")
        self._world.set_store_clock(-step_s)

    async def _wall_clocks(self) -> None:
        for replica in self._world.replicas.values():
            if self._rng.random() < 0.5:
                replica.clock.wall_step_s += self._rng.choice([-DAY_S, -60, 60, DAY_S])

    # -- the partner --------------------------------------------------------------------------------------------------

    async def _partner(self) -> None:
        account = self._profile_world().account
        what = self._rng.choice(
            ["slow", "silent", FailureKind.SERVER_ERROR, FailureKind.CONNECT, FailureKind.MALFORMED]
        )
        self._world.note("partner", f"is {what}")
        if what == "slow":
            account.latency_s = 6.0
        elif what == "silent":
            account.silent = True
        else:
            account.trouble, account.share = FailureKind(what), self._rng.choice([0.5, 1])
        try:
            await asyncio.sleep(self._some_time_s())
        finally:
            self._world.note("partner", "is well")
            account.reset()

    async def _throttle(self) -> None:
        account = self._profile_world().account
        account.trouble, account.share = FailureKind.THROTTLED, self._rng.choice([0.5, 1])
        account.retry_after_s = self._rng.choice(RETRY_AFTERS_S)
        self._world.note("partner", f"answers 429, Retry-After {account.retry_after_s}")
        try:
            await asyncio.sleep(self._some_time_s() / 2)
        finally:
            self._world.note("partner", "no more 429")
            account.reset()

    async def _revoke(self) -> None:
        self._world.note("partner", "revokes the token")
        self._profile_world().account.revoke()

    async def _revoke_at_once(self) -> None:
        account = self._profile_world().account
        self._world.note("partner", "revokes tokens that it hands out again")
        account.revokes_within_s = self._rng.choice([0.05, 0.5])
        try:
            await asyncio.sleep(20 + self._some_time_s())
        finally:
            account.revokes_within_s = 0

    async def _credentials(self) -> None:
        """Put new credentials in all files, at different moments; the partner accepts both, or one of the two."""
        profile_world = self._profile_world()
        profile_world.secret = f"secret-{self._rng.randrange(1000)}-canary"
        profile_world.account.accepted = self._rng.choice(
            [
                {profile_world.secret},
                profile_world.account.accepted | {profile_world.secret},
                profile_world.account.accepted,
            ]
        )
        accepted = profile_world.secret in profile_world.account.accepted
        self._world.note("files", f"{profile_world.profile.name}: new credentials, accepted: {accepted}")
        for replica in list(self._world.replicas.values()):
            replica.places[profile_world.profile.name].files.credentials = credentials_with(profile_world.secret)
            await asyncio.sleep(self._rng.random())
