"""From a seed to a verdict: a storm under load, a calm, and then all replicas hold the same good token."""

from __future__ import annotations

import asyncio
from typing import Any

from sidecar.core import policy
from sidecar.core.model import Seconds
from sidecar.vending.local_budget import FIRST_DELAY_S
from tests.simulation.apps import ask, pay, report, report_without_end
from tests.simulation.fault_injector import FaultInjector
from tests.simulation.network import LATEST_S
from tests.simulation.plan import Fault, Plan, plan_of
from tests.simulation.process import ProcessLoop
from tests.simulation.verdict import Verdict
from tests.simulation.world import ProfileWorld, World

APPS_PER_PROFILE = 3
OPERATIONS_PER_S = 15
"""The average rate of store operations that a replica and profile may have. A busy loop exceeds it."""


def run_seed(seed: int) -> Verdict:
    """Run the seed's whole schedule; the same seed gives the same history."""
    return run_plan(plan_of(seed))


def run_plan(plan: Plan) -> Verdict:
    loop = ProcessLoop()
    # The tasks of a killed process are never awaited: no warnings about them.
    loop.set_exception_handler(lambda *_: None)
    try:
        return loop.run_until_complete(_run(plan))
    finally:
        _throw_away(loop)
        loop.close()


def _throw_away(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        coroutine = task.get_coro()
        if coroutine is not None:
            try:
                coroutine.close()
            except RuntimeError:
                continue  # it would have gone on waiting, and need not


async def _run(plan: Plan) -> Verdict:
    world = World(plan)
    schedule = asyncio.ensure_future(_schedule(world))
    first: set[asyncio.Future[Any]] = {schedule, world.violation}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if not world.violation.done():
        schedule.result()
    profile_worlds = world.profile_worlds.values()
    return Verdict(
        plan=plan,
        violation=world.violation.result() if world.violation.done() else "",
        history=world.history,
        virtual_s=world.now(),
        calls=sum(len(profile_world.account.calls) for profile_world in profile_worlds),
        vended=sum(profile_world.apps.vended_count for profile_world in profile_worlds),
        suspect=sum(profile_world.apps.suspect_count for profile_world in profile_worlds),
        refused=sum(profile_world.apps.refused_count for profile_world in profile_worlds),
        faults=world.faults,
    )


async def _schedule(world: World) -> None:
    for _ in range(world.plan.replicas):
        world.start()
    for profile_world in world.profile_worlds.values():
        _character(world, profile_world)
    apps = [
        asyncio.ensure_future(pay(world, profile_world, APPS_PER_PROFILE))
        for profile_world in world.profile_worlds.values()
        for _ in range(APPS_PER_PROFILE)
    ]
    if Fault.ELSEWHERE in world.plan.faults:
        apps += [
            asyncio.ensure_future(report_without_end(world, profile_world))
            for profile_world in world.profile_worlds.values()
        ]
    await FaultInjector(world).storm()
    await asyncio.sleep(
        LATEST_S + max(profile_world.profile.partner_timeout_s for profile_world in world.profile_worlds.values())
    )
    for app in apps:
        app.cancel()
    await asyncio.sleep(max(_recovery_s(world, profile_world) for profile_world in world.profile_worlds.values()))
    for profile_world in world.profile_worlds.values():
        await _all_agree(world, profile_world)
    _no_replica_spins(world)


def _character(world: World, profile_world: ProfileWorld) -> None:
    """Choose the kind of partner: one whose tokens live long enough for the budget."""
    rng, account, profile = world.rng, profile_world.account, profile_world.profile
    paid_s = 1.5 * profile.budget.window_s / profile.budget.calls / profile.refresh_at
    lives_s = [life_s for life_s in (profile.lifetime_s / 2, profile.lifetime_s) if life_s > paid_s]
    account.usual_latency_s = account.latency_s = rng.choice([0.05, 0.3, 0.9]) * profile.partner_timeout_s
    account.connect_s = rng.choice([0, 0, 0.5, 1])
    account.can_refresh = rng.random() < (0.8 if Fault.ONE_TOKEN in world.plan.faults else 0.3)
    account.declared_s = rng.choice([None, None, None, *lives_s])
    account.revokes_on_issue = rng.random() < 0.3
    # Such a partner returns the same token until its end, so a call before the end gets no other one.
    again = 0.5 if Fault.ONE_TOKEN in world.plan.faults else 0.1
    account.same_token = account.declared_s is None and rng.random() < again
    account.extends = account.can_refresh and Fault.ONE_TOKEN in world.plan.faults
    if Fault.REVOKE in world.plan.faults:
        account.true_life_s = rng.choice([10_000, *lives_s])


def _recovery_s(world: World, profile_world: ProfileWorld) -> Seconds:
    """Return the time to recover after the faults: a lease, a quarantine, and the longest remembered wait."""
    profile, state = profile_world.profile, world.look(profile_world)
    pauses = (*state.credential_blocks.values(), *([state.pause] if state.pause else []))
    # Permits of the storm may be missed for as long as they are in the window.
    remembered = [0.0, *(pause.left_s for pause in pauses)]
    remembered += [profile.budget.window_s - grant.age_s for grant in state.grants]
    for replica in world.replicas.values():
        mirror, now = replica.places[profile.name].parts.replica.mirror, replica.clock.monotonic()
        pause = mirror.pause(now)
        remembered += [each.left_s for each in (*mirror.credential_blocks(now).values(), *([pause] if pause else []))]
        remembered += [mirror.permit_wait_s(now, caller_requested=True)]
    # A store whose clock was set back counts all permits of the window as spent at that moment.
    remembered += [at + profile.budget.window_s - world.now() for at in profile_world.truth.set_back_at]
    return 2 * profile.lease_limit_s + max(remembered) + profile.poll_s * 3 + FIRST_DELAY_S + policy.BACKOFF_CAP_S


async def _all_agree(world: World, profile_world: ProfileWorld) -> None:
    """Check that all replicas vend the same good token; a rotation may be under way at the first look."""
    held: set[str] = set()
    # Where tokens end before their declared lifetime, one may have ended now, and reports may wait for a permit.
    # Where the partner returns tokens again, reports are taken as mistaken.
    may_end_early = (
        profile_world.account.true_life_s < profile_world.profile.lifetime_s
        or profile_world.account.may_be_vended_again
    )
    for attempt in range(3):
        held = set()
        for replica in list(world.replicas.values()):
            vended = await ask(world, replica, profile_world)
            if vended is None or vended.suspect:
                state = replica.places[profile_world.profile.name].broker.snapshot()
                world.violated(
                    f"{replica.name} did not recover: {vended and 'suspect'} {state.why_not} {state.pause_kind}"
                )
                return
            if not may_end_early and not profile_world.account.accepts(vended.token.access.reveal()):
                await report(world, replica, profile_world, vended.token)
                vended = None
            held.add(vended.token.token_id if vended else "")
        if len(held) == 1 and "" not in held:
            return
        await asyncio.sleep(profile_world.profile.poll_s * (1 + 5 * attempt))
    world.violated(f"{len(held)} different tokens are vended after the storm")


def _no_replica_spins(world: World) -> None:
    for replica in world.all.values():
        for place in replica.places.values():
            if place.line.sent > 200 + OPERATIONS_PER_S * world.now():
                world.violated(f"{replica.name} asked the store {place.line.sent} times")
