"""Faults of the connection to a server, by name. Each function begins one, and `FaultProxy.heal` ends it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from sidecar.stores.redis.client import Script
from sidecar.stores.redis.store import CLAIM, COMMIT
from tests.support.fault_proxy import FaultProxy, ProxiedConnection
from tests.support.spoiled_way import SILENT, Way

FLAP_S = 0.2


def slow(proxy: FaultProxy) -> None:
    """An operation takes up to 0.16 s longer: less than the time-out, and 500 times as long as otherwise."""
    proxy.spoil(Way(delay_s=0.04, jitter_s=0.04))


def sliced(proxy: FaultProxy) -> None:
    proxy.spoil(Way(slice_bytes=7))


def half_open(proxy: FaultProxy) -> None:
    proxy.vanish()


def lose_reply_of(script: Script) -> Callable[[FaultProxy], None]:
    """Once, the server runs the script and its reply is lost."""

    def begin(proxy: FaultProxy) -> None:
        def watch(connection: ProxiedConnection, chunk: bytes) -> None:
            if script.sha.encode() in chunk:
                connection.replies = Way(reset_after_bytes=0)
                proxy.watch = lambda *_: None

        proxy.watch = watch

    return begin


def reset_requests(proxy: FaultProxy) -> None:
    proxy.requests = Way(reset_after_bytes=0)


def reset_replies(proxy: FaultProxy) -> None:
    proxy.replies = Way(reset_after_bytes=0)


def reset_in_mid_reply(proxy: FaultProxy) -> None:
    proxy.replies = Way(reset_after_bytes=100)


def black_hole(proxy: FaultProxy) -> None:
    proxy.spoil(SILENT)


def deaf(proxy: FaultProxy) -> None:
    """Lose all replies; requests arrive."""
    proxy.replies = SILENT


def refused(proxy: FaultProxy) -> None:
    proxy.refuse()


PASSABLE: Mapping[str, Callable[[FaultProxy], None]] = {
    "slow": slow,
    "sliced": sliced,
    "half-open": half_open,
    "a claim's reply lost": lose_reply_of(CLAIM),
    "a commit's reply lost": lose_reply_of(COMMIT),
}
"""Under these faults of the connection to Redis the replicas still agree."""
CUTTING: Mapping[str, Callable[[FaultProxy], None]] = {
    "refused": refused,
    "requests reset": reset_requests,
    "replies reset": reset_replies,
    "reset in mid-reply": reset_in_mid_reply,
    "black hole": black_hole,
    "black hole for replies": deaf,
}
"""Under these faults the server cannot be used."""


@asynccontextmanager
async def flapping(proxy: FaultProxy, seed: int) -> AsyncIterator[None]:
    """Cause a fault that cuts connections for 200 ms, then none for 200 ms, and so on, in the order of the seed."""

    async def flap() -> None:
        dice = random.Random(seed)
        while True:
            CUTTING[dice.choice(list(CUTTING))](proxy)
            await asyncio.sleep(FLAP_S)
            await proxy.heal()
            await asyncio.sleep(FLAP_S)

    task = asyncio.create_task(flap())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await proxy.heal()
