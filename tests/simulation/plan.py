"""The plan of a seed: the size of the fleet, its settings, and its faults."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from sidecar.core.model import Budget, Profile, StoreFailure


class Fault(StrEnum):
    """A family of faults; a seed has some of them."""

    KILL = "kill"
    PAUSE = "pause"
    RESTART = "restart"
    LINE = "line"
    LOSS = "loss"
    FAILOVER = "failover"
    SPLIT = "split"
    STORE_CLOCK = "store-clock"
    WALL_CLOCKS = "wall-clocks"
    PARTNER = "partner"
    THROTTLE = "throttle"
    REVOKE = "revoke"
    CREDENTIALS = "credentials"
    IMPATIENCE = "impatience"
    HOSTILITY = "hostility"
    CUT = "cut"
    """Some replicas have no way to the store, or a bad one, for longer than they wait before a local call."""
    STORE_CLOCK_BACK = "store-clock-back"
    ONE_TOKEN = "one-token"
    """The partner returns one token again, by grant or by refresh, and may revoke it right after."""
    ELSEWHERE = "elsewhere"
    """Apps report to any replica, whichever vended the token, and report old tokens too."""


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    replicas: int
    profiles: tuple[Profile, ...]
    faults: frozenset[Fault]
    storm_s: float
    """How long faults are injected."""
    every_s: float
    """The average time between two faults."""
    ask_every_s: float
    """The average time between two requests of an app, per profile."""
    process_fault: tuple[Fault, int] | None = None
    """The first replica is killed, or stopped for longer than a lease, before this step of its process."""


SIZES = ((1, 8), (2, 22), (3, 25), (5, 25), (9, 15), (25, 4), (80, 0.7), (200, 0.3))


def plan_of(seed: int) -> Plan:
    rng = random.Random(f"plan {seed}")
    (replicas,) = rng.choices([size for size, _ in SIZES], [weight for _, weight in SIZES])
    names = ("default", "second", "third")[: rng.choices([1, 2, 3], [75, 20, 5])[0] if replicas < 25 else 1]
    # Together many faults hide each other: one seed in three has one family alone.
    share = rng.choice([0.1, 0.35, 0.6])
    faults = frozenset(fault for fault in Fault if rng.random() < share)
    storm_s = rng.uniform(40, 160) if replicas < 25 else rng.uniform(30, 60)
    return Plan(
        seed=seed,
        replicas=replicas,
        profiles=tuple(_profile(name, replicas, rng) for name in names),
        faults=faults,
        storm_s=storm_s,
        every_s=rng.choice([2, 6, 20]),
        ask_every_s=rng.choice([0.3, 1, 4]),
    )


def _profile(name: str, replicas: int, rng: random.Random) -> Profile:
    lifetime_s = rng.choice([40, 60, 100])
    timeout_s = rng.choice([1, 2, 4])
    return Profile(
        name=name,
        account=name,
        base_url="https://partner.example",
        lifetime_s=lifetime_s,
        refresh_at=rng.choice([0.6, 0.8]),
        margin_s=rng.choice([2, 4]),
        max_stale_s=rng.choice([0, 60, 3600]),
        budget=rng.choice([Budget(2, 30), Budget(3, 60), Budget(6, 60)]),
        partner_timeout_s=timeout_s,
        cooldown_s=rng.choice([5, 20]),
        store_failure=rng.choice([StoreFailure.LOCAL, StoreFailure.LOCAL, StoreFailure.LOCAL, StoreFailure.FAIL]),
        fleet_size=rng.choice([replicas, 10]),
        idle_s=rng.choice([0, 0, 0, 20]),
    )
