"""Faults of the connection to the partner: no incomplete response is cached, and calls do not follow at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from sidecar.core.policy import BACKOFF_FLOOR_S
from tests.servers import RedisServer
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.processes import Fleet, open_fleet
from tests.support.replica import Replica, until
from tests.support.spoiled_way import Way
from tests.support.way_faults import black_hole, deaf, refused, reset_in_mid_reply, reset_replies, reset_requests

SETTINGS = {"STORE": "memory://", "PARTNER_TIMEOUT_S": "2", "REQUEST_TIMEOUT_S": "2", "CALL_BUDGET": "30/60"}
UNHEARD = {"refused": refused, "requests reset": reset_requests, "black hole": black_hole}
"""The partner never receives the call."""
UNANSWERED: dict[str, Callable[[FaultProxy], None]] = {
    "replies reset": reset_replies,
    "reset in mid-head": reset_in_mid_reply,
    "reset in mid-token": lambda proxy: setattr(proxy, "replies", Way(reset_after_bytes=500)),
    "black hole for replies": deaf,
    "too slow": lambda proxy: setattr(proxy, "replies", Way(slice_bytes=10, delay_s=0.1)),
}
"""The partner issues a token, and its response arrives in part or not at all."""


def way_to_the_partner(fleet: Fleet) -> AbstractAsyncContextManager[FaultProxy]:
    return fault_proxy(int(fleet.partner_url.rpartition(":")[2]))


async def outcomes(replica: Replica) -> tuple[float, float]:
    """Return how many calls brought a token, and how many did not."""
    good = await replica.metric("partner_requests_total", outcome="ok")
    return good, await replica.metric("partner_requests_total") - good


async def recovers(fleet: Fleet, proxy: FaultProxy, begin: Callable[[FaultProxy], None], *, received: bool) -> None:
    """A cold start during the fault fails twice, with a pause between. After the fault, one call brings a token.

    `received` is set if the partner receives the calls, and issues tokens that are lost.
    """
    begin(proxy)
    replica = (await fleet.start(1, BASE_URL=f"http://127.0.0.1:{proxy.port}", **SETTINGS))[0]

    async def failed_twice() -> bool:
        # On a busy machine a call may reach its time limit before it reaches the partner.
        return (await outcomes(replica))[1] >= 2 and (len(fleet.issued) >= 2 or not received)

    await until(failed_twice)
    refused = await replica.ask()
    assert (refused.status, refused.code) == (503, "partner-unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert received or not fleet.issued
    await proxy.heal()
    await until(replica.ready)
    # One call may have been open when the fault ended. Only the last one brought a token.
    assert (await outcomes(replica))[0] == 1
    assert (await replica.ask()).token_id in (fleet.issued[-1:] if received else fleet.issued)
    assert all(event["pause_s"] >= BACKOFF_FLOOR_S for event in replica.events("pause_started"))


async def test_no_fault_leads_to_a_cached_incomplete_response(tmp_path: Path, own_redis_server: RedisServer) -> None:
    """All faults run at once, each with a replica, a proxy and a partner of its own."""

    async def one(name: str, begin: Callable[[FaultProxy], None]) -> None:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        async with open_fleet(folder, own_redis_server) as fleet, way_to_the_partner(fleet) as proxy:
            await recovers(fleet, proxy, begin, received=name in UNANSWERED)

    await asyncio.gather(*(one(name, begin) for name, begin in (UNHEARD | UNANSWERED).items()))


async def test_a_response_in_slices_is_read_as_one(fleet: Fleet) -> None:
    async with way_to_the_partner(fleet) as proxy:
        proxy.spoil(Way(slice_bytes=5))
        replica = (await fleet.ready(1, BASE_URL=f"http://127.0.0.1:{proxy.port}", **SETTINGS))[0]
        assert (await replica.ask()).token_id == fleet.issued[-1]
        assert await outcomes(replica) == (1, 0)
