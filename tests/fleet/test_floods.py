"""Floods against a real sidecar: a normal client gets every response, memory and log stay small, labels do not grow."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from sidecar.core.listener_limits import Limits
from sidecar.telemetry.throttle import QUIET_S
from sidecar.web.server.connection_registry import MAX_TURNED_AWAY
from tests.floods.attacker import KINDS, connections_of
from tests.floods.flood import flood, victim
from tests.support.replica import Replica

SECONDS = 2
ENOUGH, ANSWERS = 2000, 20
"""The number of requests of the attacker and of the normal client. On a busy machine both take longer."""
ROOM_BYTES, ROOM_OF_BODIES_BYTES = 16 << 20, 48 << 20
"""More than all connections together need. If half of them close with a body each, they need twice as much."""
KINDS_OF_LINES = 8
"""More than any flood causes: the last lines of the start, limits that were reached, and reasons for refusals."""


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    async with victim(tmp_path) as started:
        yield started


async def series(replica: Replica) -> int:
    """Return how many samples `/metrics` has."""
    return sum(not line.startswith("#") for line in (await replica.admin("/metrics")).text.splitlines())


def same_lines(log: Sequence[str]) -> Counter[str]:
    """Count each line, without its time and its number of suppressed lines."""
    lines = [json.loads(line) for line in log]
    return Counter(json.dumps({**line, "timestamp": None, "suppressed": None}) for line in lines)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_flood_costs_no_response_no_memory_and_no_log(replica: Replica, kind: str) -> None:
    before = await series(replica)
    seen = await flood(replica, kind, seconds=SECONDS, connections=connections_of(kind), enough=ENOUGH, answers=ANSWERS)
    assert seen.caller.lost == []
    assert seen.peak_bytes - seen.before_bytes < (ROOM_OF_BODIES_BYTES if kind == "bodies" else ROOM_BYTES)
    assert seen.open_at_most <= Limits().max_connections + 2 * MAX_TURNED_AWAY
    lines = same_lines(seen.log)
    assert len(lines) <= KINDS_OF_LINES, lines
    assert max(lines.values(), default=0) <= 1 + seen.lasted_s // QUIET_S, lines
    assert await series(replica) == before
    if kind == "idle":
        assert await replica.metric("limits_hit_total", listener="vending", limit="connections") > 1000
