"""The apps: their requests to replicas, and what they do with the responses."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sidecar.core.errors import BadRequestError, NoTokenError
from sidecar.core.model import Token
from sidecar.vending.api import VendedToken
from tests.simulation.plan import Fault
from tests.simulation.replica import Replica
from tests.simulation.replica_truth import ViolationError
from tests.simulation.world import ProfileWorld, World

ANSWER_SLACK_S = 0.2


async def pay(world: World, profile_world: ProfileWorld, apps: int) -> None:
    """Simulate one app: request tokens, pay with them, and report those that the partner rejects, without end."""
    rng, faults = world.rng, world.plan.faults
    while True:
        await asyncio.sleep(rng.expovariate(1 / (world.plan.ask_every_s * apps)))
        if not world.replicas:
            continue
        replica = rng.choice(list(world.replicas.values()))
        leaves = Fault.IMPATIENCE in faults and rng.random() < 0.5
        min_ttl_s = profile_world.profile.lifetime_s * rng.random() / 2 if rng.random() < 0.05 else 0
        vended = await ask(world, replica, profile_world, min_ttl_s, leave_after_s=rng.random() / 2 if leaves else 0)
        hostile = Fault.HOSTILITY in faults and rng.random() < 0.3
        if vended is not None and (hostile or not profile_world.account.accepts(vended.token.access.reveal())):
            await report(world, _reported_to(world, replica), profile_world, vended.token)


async def report_without_end(world: World, profile_world: ProfileWorld) -> None:
    """Report tokens that the partner rejects to any replica, without end, also while other callers wait there."""
    rng = world.rng
    while True:
        await asyncio.sleep(rng.expovariate(1 / world.plan.ask_every_s))
        if not (world.replicas and profile_world.seen):
            continue
        token = rng.choice(profile_world.seen)
        if profile_world.account.accepts(token.access.reveal()):
            # A token that no replica holds: each replica has to read the store for it.
            token = replace(token, token_id=f"{rng.getrandbits(128):032x}")
        await report(world, rng.choice(list(world.replicas.values())), profile_world, token)


def _reported_to(world: World, provider: Replica) -> Replica:
    """The replica that vended the token, or any."""
    replicas = list(world.replicas.values())
    return world.rng.choice(replicas) if Fault.ELSEWHERE in world.plan.faults and replicas else provider


async def ask(
    world: World, replica: Replica, profile_world: ProfileWorld, min_ttl_s: float = 0, leave_after_s: float = 0
) -> VendedToken | None:
    """Send one app's request; return None when it got no token, or its replica went away."""
    asked_at, patience_s = world.now(), profile_world.profile.request_timeout_s + ANSWER_SLACK_S
    task = replica.run(_vend(world, replica, profile_world, min_ttl_s))
    if leave_after_s:
        await asyncio.wait({task}, timeout=leave_after_s)
        task.cancel()
    await asyncio.wait({task}, timeout=patience_s)
    if not task.done():
        if not replica.process.dead and world.now() - world.bad_way_at(replica.name) > patience_s:
            world.violated(f"{replica.name} owes an answer since {world.now() - asked_at:.1f} s")
        return None
    return _answered(world, replica, task, left=leave_after_s > 0)


async def _vend(world: World, replica: Replica, profile_world: ProfileWorld, min_ttl_s: float) -> VendedToken | None:
    """Request a token and check the answer in the replica's own step: it may answer a report in its next one."""
    apps = profile_world.apps
    try:
        try:
            vended = await replica.places[profile_world.profile.name].broker.vend(min_ttl_s)
        except NoTokenError as error:
            apps.refused(replica.name, error.code, min_ttl_s)
        except BadRequestError:
            return None
        else:
            apps.vended(replica.name, vended, min_ttl_s)
            if vended.token not in profile_world.seen:
                profile_world.seen.append(vended.token)
            return vended
    except ViolationError as violation:
        world.violated(f"{replica.name} vended {violation}")
    return None


def _answered(
    world: World, replica: Replica, task: asyncio.Task[VendedToken | None], *, left: bool
) -> VendedToken | None:
    if task.cancelled():
        if not left:
            world.violated(f"{replica.name} cancelled a caller that had not gone away")
        return None
    if (error := task.exception()) is not None:
        world.violated(f"{replica.name} answered with {error!r}")
        return None
    return task.result()


async def report(world: World, replica: Replica, profile_world: ProfileWorld, token: Token) -> None:
    """Send one app's report that the partner rejected this token."""
    profile_world.truth.reported_at.setdefault(token.token_id, world.now())

    async def tell() -> None:
        report = await replica.places[profile_world.profile.name].broker.report(token.token_id)
        world.note(
            replica.name, f"{profile_world.profile.name}: reported {token.access.reveal()[:9]}, {report.verdict}"
        )
        profile_world.apps.reported(replica.name, token, report)

    task = replica.run(tell())
    await asyncio.wait({task}, timeout=profile_world.profile.request_timeout_s + ANSWER_SLACK_S)
    if task.done() and (error := task.exception()) is not None:
        world.violated(f"{replica.name} took a report with {error!r}")
