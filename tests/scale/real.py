"""Real sidecar processes with a real Redis: their operations and costs while idle, and what a rotation adds."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from tests.scale.reading import Meter, Reading
from tests.servers import RedisServer
from tests.support.proc import cpu_s
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.replica import until
from tests.support.resident import resident_bytes

LIFETIME_S = 40
"""Short, so that a rotation takes half a minute. The quiet part does not depend on it."""
CALL_S = 0.2
"""How long the partner takes to answer."""
SETTINGS = {"TOKEN_LIFETIME_S": str(LIFETIME_S), "PARTNER_TIMEOUT_S": "2"}
BATCH = 5
"""Processes started at once."""
QUIET_S = (6.0, 26.0)
"""Ages of the token between which replicas poll at the interval of the setting; the refresh point is 32 s."""


@dataclass(frozen=True)
class Cost:
    """The costs of one fleet, for one replica. The costs of an operation are those of the server."""

    replicas: int
    quiet_operations_per_s: float
    quiet_bytes_per_s: float
    quiet_cpu_share: float
    """The share of one core."""
    rotation_operations: float
    """The operations beyond the quiet ones of the same time."""
    rotation_bytes: float
    rotation_claims: float
    rotation_cpu_s: float
    operation_cpu_s: float
    operation_script_s: float
    connections: float
    resident_bytes: float
    profile_bytes: int
    calls_per_rotation: float


async def measure(replicas: int, rotations: int) -> Cost:
    """Start this many processes, and measure this many rotations, about half a minute each."""
    with tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder)).start()
        try:
            async with open_fleet(Path(folder), redis, replace(CONFIG, latency_s=CALL_S)) as fleet:
                while len(fleet.replicas) < replicas:
                    await fleet.ready(min(BATCH, replicas - len(fleet.replicas)), **SETTINGS)
                # A replica with open connections does work for them, and is not quiet.
                await fleet.session.close()
                with Meter(redis) as meter:
                    return await _follow(fleet, meter, rotations)
        finally:
            redis.stop()


async def _follow(fleet: Fleet, meter: Meter, rotations: int) -> Cost:
    if _age_s(fleet) > QUIET_S[0]:
        await _next_call(fleet)
    calls_before, start = len(fleet.calls), await _at_age(fleet, meter, QUIET_S[0])
    quiet = rotated = start - start
    for _ in range(rotations):
        before = await _at_age(fleet, meter, QUIET_S[1])
        quiet += before - start
        await _next_call(fleet)
        start = await _at_age(fleet, meter, QUIET_S[0])
        rotated += start - before
    return _cost(fleet, meter, quiet, rotated, len(fleet.calls) - calls_before, rotations)


def _cost(fleet: Fleet, meter: Meter, quiet: Reading, rotated: Reading, calls: int, rotations: int) -> Cost:
    count, share = len(fleet.replicas), len(fleet.replicas) * rotations
    whole = quiet + rotated
    quiet_span = rotated.at_s / quiet.at_s
    return Cost(
        replicas=count,
        quiet_operations_per_s=quiet.operations / quiet.at_s / count,
        quiet_bytes_per_s=quiet.data_bytes / quiet.at_s / count,
        quiet_cpu_share=quiet.replicas_cpu_s / quiet.at_s / count,
        rotation_operations=(rotated.operations - quiet.operations * quiet_span) / share,
        rotation_bytes=(rotated.data_bytes - quiet.data_bytes * quiet_span) / share,
        # A commit writes both keys, a claim only `gate`, a peek none.
        rotation_claims=(rotated.writes - 2 * calls) / share,
        rotation_cpu_s=(rotated.replicas_cpu_s - quiet.replicas_cpu_s * quiet_span) / share,
        operation_cpu_s=whole.cpu_s / whole.operations,
        operation_script_s=whole.script_s / whole.operations,
        connections=meter.connections() / count,
        resident_bytes=sum(resident_bytes(replica.process.pid) for replica in fleet.replicas) / count,
        profile_bytes=meter.profile_bytes(),
        calls_per_rotation=calls / rotations,
    )


async def _next_call(fleet: Fleet) -> None:
    count = len(fleet.calls)
    await until(lambda: len(fleet.calls) > count, 2 * LIFETIME_S)


async def _at_age(fleet: Fleet, meter: Meter, age_s: float) -> Reading:
    await asyncio.sleep(max(0, age_s - _age_s(fleet)))
    return replace(meter.read(), replicas_cpu_s=sum(cpu_s(replica.process.pid) for replica in fleet.replicas))


def _age_s(fleet: Fleet) -> float:
    """Return the age of the newest token."""
    return fleet.now - fleet.calls[-1].at_monotonic
