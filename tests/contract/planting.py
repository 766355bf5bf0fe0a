"""Overwriting what lies in a store, and what must still work afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sidecar.core.errors import FailureKind
from sidecar.core.model import Budget
from sidecar.core.ports import SharedState
from tests.contract.worlds import PROFILE, KeptWorld, Part, failed, fetched

WIDE = replace(PROFILE, budget=Budget(100, 60))


def plant(world: KeptWorld, part: Part, **changes: object) -> None:
    """Overwrite fields of what lies there."""
    document: dict[str, Any] = json.loads(world.get(part))
    world.put(part, json.dumps({**document, **changes}).encode())


async def rotations(shared: SharedState, count: int = 3) -> None:
    """What replicas do all day: a token, a failure, and so on."""
    known = (await shared.peek(0)).token_fence
    for _ in range(count):
        token = await fetched(shared, known=known)
        known = token.fence
        await failed(shared, FailureKind.TIMEOUT, 0, known=known)
        assert (await shared.peek(known)).damaged == ()
