"""The way between a sidecar and the partner is spoiled: nothing half is ever cached, and nobody hammers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from sidecar.core.policy import BACKOFF_CAP_S, BACKOFF_FLOOR_S
from tests.fakes.fault_proxy import FaultProxy, fault_proxy
from tests.fakes.processes import Fleet, open_fleet
from tests.fakes.replica import Replica, until
from tests.fakes.spoiled_way import Way
from tests.fakes.way_faults import black_hole, deaf, refused, reset_in_mid_reply, reset_replies, reset_requests
from tests.servers import RedisServer

SETTINGS = {"STORE": "memory://", "PARTNER_TIMEOUT_S": "0.5", "REQUEST_TIMEOUT_S": "0.5", "CALL_BUDGET": "30/60"}
NOISE_S = 10
UNHEARD = {"refused": refused, "requests reset": reset_requests, "black hole": black_hole}
"""The partner never sees the call."""
UNANSWERED: dict[str, Callable[[FaultProxy], None]] = {
    "replies reset": reset_replies,
    "reset in mid-head": reset_in_mid_reply,
    "reset in mid-token": lambda proxy: setattr(proxy, "replies", Way(reset_after_bytes=500)),
    "black hole for replies": deaf,
    "too slow": lambda proxy: setattr(proxy, "replies", Way(slice_bytes=10, delay_s=0.02)),
}
"""The partner issues a token, and none or half of the answer arrives."""


def way_to_the_partner(fleet: Fleet) -> AbstractAsyncContextManager[FaultProxy]:
    return fault_proxy(int(fleet.partner_url.rpartition(":")[2]))


async def outcomes(replica: Replica) -> tuple[float, float]:
    """How many calls brought a token, and how many did not."""
    good = await replica.metric("partner_requests_total", outcome="ok")
    return good, await replica.metric("partner_requests_total") - good


async def recovers(fleet: Fleet, proxy: FaultProxy, begin: Callable[[FaultProxy], None]) -> int:
    """A cold start under the fault fails clearly, twice and with a pause between; after it, one call.

    Answers how many tokens were issued and lost.
    """
    begin(proxy)
    replica = (await fleet.start(1, BASE_URL=f"http://127.0.0.1:{proxy.port}", **SETTINGS))[0]

    async def failed_twice() -> bool:
        return (await outcomes(replica))[1] >= 2

    await until(failed_twice, 4 + NOISE_S)
    refused = await replica.ask()
    assert (refused.status, refused.code) == (503, "partner-unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    # One more may be out, and get its answer yet.
    lost = fleet.issued[:2]
    await proxy.heal()
    await until(replica.ready, BACKOFF_CAP_S + NOISE_S)
    assert (await replica.ask()).token_id not in lost
    assert (await outcomes(replica))[0] == 1
    assert all(event["pause_s"] >= BACKOFF_FLOOR_S for event in replica.events("pause_started"))
    return len(lost)


async def test_no_fault_leaves_half_an_answer_behind(tmp_path: Path, own_redis_server: RedisServer) -> None:
    """All of them at once, each with a replica, a way and a partner of its own."""

    async def one(name: str, begin: Callable[[FaultProxy], None]) -> int:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        async with open_fleet(folder, own_redis_server) as fleet, way_to_the_partner(fleet) as proxy:
            return await recovers(fleet, proxy, begin)

    lost = await asyncio.gather(*(one(name, begin) for name, begin in (UNHEARD | UNANSWERED).items()))
    assert [count > 0 for count in lost] == [False] * len(UNHEARD) + [True] * len(UNANSWERED)


async def test_an_answer_in_slices_is_one_answer(fleet: Fleet) -> None:
    async with way_to_the_partner(fleet) as proxy:
        proxy.spoil(Way(slice_bytes=5))
        replica = (await fleet.ready(1, BASE_URL=f"http://127.0.0.1:{proxy.port}", **SETTINGS))[0]
        assert (await replica.ask()).token_id == fleet.issued[-1]
        assert await outcomes(replica) == (1, 0)
