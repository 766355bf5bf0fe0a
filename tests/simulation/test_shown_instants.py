"""Each shown instant is this machine's time plus the remaining seconds, steady and independent of the store's clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest

from sidecar.core.errors import FailureKind
from sidecar.core.events import TokenChanged
from sidecar.core.model import Profile, UtcTime
from sidecar.core.timestamps import iso
from sidecar.vending.api import Snapshot
from tests.support.fleet import Fleet, Replica
from tests.support.partner import failure
from tests.support.virtual_time import VirtualClock, virtual

DAY_S = 86_400
BEHIND_S = 1200
TOKEN = ("issued_at", "expires_at", "last_success_at", "next_refresh_at")
NEAR_S = 1.5
"""The latency of a store reply, and the jitter of a clock."""


def clock_of(replica: Replica) -> VirtualClock:
    clock = replica.broker.clock
    assert isinstance(clock, VirtualClock)
    return clock


async def agrees(replica: Replica) -> tuple[UtcTime, UtcTime]:
    """Check that vended token, snapshot and machine clock agree on the token's instants."""
    vended, shown, clock = await replica.broker.vend(), replica.broker.snapshot(), clock_of(replica)
    assert vended.expires_at == pytest.approx(clock.wall() + shown.left_s, abs=NEAR_S)
    assert vended.expires_at - clock.wall() == pytest.approx(vended.expires_in_s, abs=NEAR_S)
    assert (shown.issued_at, shown.expires_at) == (vended.issued_at, vended.expires_at)
    assert vended.expires_at - vended.issued_at == pytest.approx(vended.token.lifetime_s)
    assert shown.issued_at <= shown.last_success_at <= clock.wall() + NEAR_S
    assert shown.issued_at <= shown.next_refresh_at <= shown.expires_at
    return vended.issued_at, vended.expires_at


@pytest.mark.parametrize("ahead_s", [-DAY_S, -BEHIND_S, BEHIND_S, DAY_S])
@virtual
async def test_a_different_clock_of_the_store_changes_no_instant(ahead_s: float) -> None:
    """For the replica that fetched the token and for those that read it from the store."""
    fleet = Fleet()
    fleet.clock.set_forward_s = ahead_s
    fleet.lose_data()  # a store that has started with that clock
    replicas = fleet.start(3)
    await asyncio.gather(*(replica.token() for replica in replicas))
    shown = [await agrees(replica) for replica in replicas]
    assert max(shown)[0] - min(shown)[0] < 1
    for replica in replicas:
        (changed,) = replica.sink.of(TokenChanged)
        assert (changed.issued_at, changed.expires_at) == await agrees(replica)
    await fleet.stop()


@virtual
async def test_a_clock_step_after_the_start_is_followed_at_once_in_both_directions() -> None:
    fleet = Fleet()
    replicas = fleet.start(2)
    await asyncio.gather(*(replica.token() for replica in replicas))
    began = [await agrees(replica) for replica in replicas]
    for step_s in (-DAY_S, DAY_S, 5.0, 0.0):
        await asyncio.sleep(3)
        for replica, (issued_at, _) in zip(replicas, began, strict=True):
            clock_of(replica).wall_step_s = step_s
            assert (await agrees(replica))[0] == pytest.approx(issued_at + step_s, abs=1e-3)
    assert fleet.partner.count == 1
    await fleet.stop()


@virtual
async def test_the_instant_of_a_failure_is_shown_by_the_present_clock() -> None:
    fleet = Fleet()
    fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=300))
    (replica,) = fleet.start(1)
    await asyncio.sleep(10)
    clock = clock_of(replica)
    clock.wall_step_s = DAY_S
    shown = replica.broker.snapshot()
    assert shown.last_failure is not None
    assert clock.wall() - 11 < shown.last_failure.at < clock.wall() - 8
    assert clock.wall() + 285 < shown.cooldown_until == shown.retry_at == shown.pause_until < clock.wall() + 300
    assert shown.last_success_at == 0
    await fleet.stop()


def instants(shown: Snapshot) -> Iterator[tuple[str, str]]:
    """Return the instants at which something began or will end, as apps read them."""
    for name in (*TOKEN, "cooldown_until", "pause_until", "retry_at"):
        if at := getattr(shown, name):
            yield name, iso(at)


async def seen_over(fleet: Fleet, looks: int, seed: int) -> dict[str, set[str]]:
    """Collect the shown instants while the store's latency varies."""
    rng, found = random.Random(seed), dict[str, set[str]]()
    for _ in range(looks):
        for replica in fleet.replicas:
            replica.wire.delay_s, replica.wire.answer_delay_s["peek"] = rng.random() / 4, rng.random() / 4
            clock_of(replica).wall_step_s = rng.random() / 2
            for name, text in instants(replica.broker.snapshot()):
                found.setdefault(f"{replica.name} {name}", set()).add(text)
        await asyncio.sleep(1.3)
    return found


@pytest.mark.parametrize("seed", range(5))
@virtual
async def test_shown_instants_do_not_change_while_no_clock_is_set(seed: int) -> None:
    """A good token, and then a cool-down: many reads of the store, each with a random latency."""
    fleet = Fleet(Profile(base_url="https://partner.example", poll_s=0.5))
    fleet.start(3)
    await asyncio.sleep(5)
    young = await seen_over(fleet, 60, seed)
    fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=600))
    await fleet.partner.called(2)
    await asyncio.sleep(10)
    cooling = await seen_over(fleet, 60, seed)
    assert {name.partition(" ")[2] for name in cooling} >= {"expires_at", "cooldown_until", "retry_at"}
    for found in (young, cooling):
        assert {name: texts for name, texts in found.items() if len(texts) > 1} == {}
    await fleet.stop()
