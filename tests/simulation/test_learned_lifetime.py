"""Tokens that end before their assumed lifetime: the fleet stores a shorter one, which grows back slowly."""

from __future__ import annotations

import asyncio
import re

from sidecar.core.model import Profile
from sidecar.core.policy import learned_floor_s
from tests.support.fleet import Fleet, Replica
from tests.support.virtual_time import virtual

BASE_URL = "https://partner.example"
TRUE_LIFE_S = 400
LAZY = Profile(base_url=BASE_URL, poll_s=30)
"""A test covers days. Only the number of store reads depends on this interval."""


class Payments:
    """Apps that pay every few seconds, and report rejected tokens of a partner whose tokens live for `life_s`."""

    def __init__(self, fleet: Fleet, life_s: float) -> None:
        self._fleet = fleet
        self.life_s = life_s
        self.refusals = 0

    def _age_s(self, access: str) -> float:
        issued_at, _ = self._fleet.partner.calls[int(re.sub(r"\D", "", access)) - 1]
        return asyncio.get_running_loop().time() - issued_at

    async def go_on(self, replicas: list[Replica], for_s: float) -> int:
        """Continue for a time and return how many payments were rejected in it."""
        before, until = self.refusals, asyncio.get_running_loop().time() + for_s
        while asyncio.get_running_loop().time() < until:
            for replica in replicas:
                vended = await replica.broker.vend()
                if self._age_s(vended.token.access.reveal()) > self.life_s:
                    self.refusals += not vended.suspect
                    await replica.broker.report(vended.token.token_id)
            await asyncio.sleep(10)
        return self.refusals - before


def learned_s(replica: Replica) -> float:
    return replica.broker.snapshot().learned_s


@virtual
async def test_a_rejection_does_not_repeat_at_each_rotation() -> None:
    """After two rejections tokens are replaced in time, except for rare checks whether they live longer by now."""
    fleet = Fleet(LAZY)
    replicas = fleet.start(3)
    payments = Payments(fleet, TRUE_LIFE_S)
    assert await payments.go_on(replicas[:1], 3 * TRUE_LIFE_S) == 2
    assert TRUE_LIFE_S * 0.9 < learned_s(replicas[0]) < TRUE_LIFE_S
    rotations = fleet.partner.count
    refusals = await payments.go_on(replicas[:1], 24 * 3600)
    rotations = fleet.partner.count - rotations
    assert rotations > 200
    assert refusals < rotations / 7
    await fleet.stop()


@virtual
async def test_a_learned_lifetime_is_shared_by_the_fleet_and_outlives_its_replicas() -> None:
    fleet = Fleet(LAZY)
    (first,) = fleet.start(1)
    await Payments(fleet, TRUE_LIFE_S).go_on([first], 3 * TRUE_LIFE_S)
    learned = learned_s(first)
    await first.kill()
    fleet.replicas.clear()
    (newcomer,) = fleet.start(1)
    await asyncio.sleep(1)
    assert learned_s(newcomer) == learned > 0
    assert (await newcomer.broker.vend()).token.lifetime_s == learned
    await fleet.stop()


@virtual
async def test_a_learned_lifetime_grows_back_slowly_once_tokens_live_longer() -> None:
    fleet = Fleet(LAZY)
    replicas = fleet.start(2)
    payments = Payments(fleet, TRUE_LIFE_S)
    await payments.go_on(replicas, 3 * TRUE_LIFE_S)
    payments.life_s, before = 10_000, learned_s(replicas[0])
    assert await payments.go_on(replicas, 4 * 3600) == 0
    assert before * 1.2 < learned_s(replicas[0])
    assert await payments.go_on(replicas, 24 * 3600) == 0
    assert learned_s(replicas[0]) == 0
    assert (await replicas[0].broker.vend()).token.lifetime == "assumed"
    await fleet.stop()


@virtual
async def test_one_wrong_report_changes_no_lifetime() -> None:
    fleet = Fleet(LAZY)
    replicas = fleet.start(2)
    for _ in range(5):
        await asyncio.sleep(500)
        await replicas[0].broker.report((await replicas[0].broker.vend()).token.token_id)
        await asyncio.sleep(1500)
        assert learned_s(replicas[1]) == 0
    await fleet.stop()


@virtual
async def test_a_hostile_app_shortens_no_lifetime_below_the_floor_and_spends_half_of_the_budget() -> None:
    """It reports at once, a little above the floor, or at any age."""
    for waits_s in (0, 95, 300):
        fleet = Fleet(LAZY)
        (replica,) = fleet.start(1)
        await replica.token()
        floor_s, began = learned_floor_s(fleet.profile), asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began + 2 * 3600:
            await asyncio.sleep(waits_s + 0.5)
            vended = await replica.broker.vend()
            assert vended.token.lifetime_s >= floor_s
            await replica.broker.report(vended.token.token_id)
        times = [at for at, _ in fleet.partner.calls]
        assert max(sum(at <= other < at + 59 for other in times) for at in times) <= 4
        assert waits_s == 0 or learned_s(replica) >= floor_s
        await fleet.stop()
