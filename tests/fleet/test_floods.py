"""Floods against a real sidecar: a good caller gets every answer, memory and log stay small, and no name is a label."""

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
"""Of what the attacker does, and for the good caller meanwhile: on a busy machine a flood takes longer for both."""
ROOM_BYTES, ROOM_OF_BODIES_BYTES = 16 << 20, 48 << 20
"""More than all connections there may be need at once; and twice as many, where half are ending, with a body each."""
KINDS_OF_LINES = 8
"""More than any flood has: the start's last lines, the limits it meets, what it is refused for."""


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    async with victim(tmp_path) as started:
        yield started


async def series(replica: Replica) -> int:
    """How many lines of samples `/metrics` has."""
    return sum(not line.startswith("#") for line in (await replica.admin("/metrics")).text.splitlines())


def same_lines(log: Sequence[str]) -> Counter[str]:
    """How often each line was written, but for when it was and how many others were left out for it."""
    lines = [json.loads(line) for line in log]
    return Counter(json.dumps({**line, "timestamp": None, "suppressed": None}) for line in lines)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_flood_costs_no_answer_no_memory_and_no_log(replica: Replica, kind: str) -> None:
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
