"""The partner rejects a token that replicas hold as valid."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from sidecar.partner.presets import PRESETS
from tests.servers import RedisServer
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.replica import Replica, until

POLL_S = 2
LIFETIME_S, REFRESH_AT_S = 20, 3
ENOUGH = 20
"""The least number of payments, for a machine that is too busy for more during the rotations."""
PARTNER = PRESETS["pay1st"]


async def test_a_report_on_one_replica_reaches_all_within_a_poll(fleet: Fleet) -> None:
    replicas = await fleet.ready(3, POLL_S=str(POLL_S))
    refused = (await replicas[0].ask()).token_id
    fleet.sandbox.state.accounts["pay1st"].revoke()

    verdicts = await asyncio.gather(*(replicas[0].report(refused) for _ in range(20)))

    async def all_replaced() -> bool:
        return refused not in [(await replica.ask()).token_id for replica in replicas]

    await until(all_replaced)
    assert set(verdicts) == {"refreshing"}
    assert len({(await replica.ask()).token_id for replica in replicas}) == 1
    assert {await replica.report(refused) for replica in replicas} == {"already-replaced"}
    assert len(fleet.calls) == 2


async def test_an_app_that_reports_a_401_always_succeeds_at_the_second_try(
    tmp_path: Path, own_redis_server: RedisServer
) -> None:
    """The partner ends the old token the moment it issues a new one, while replicas still vend the old one."""
    rotations = 3
    async with open_fleet(tmp_path, own_redis_server, replace(CONFIG, revoke_previous=True)) as fleet:
        settings = {
            "TOKEN_LIFETIME_S": str(LIFETIME_S),
            "REFRESH_AT": str(REFRESH_AT_S / LIFETIME_S),
            "PARTNER_TIMEOUT_S": "5",
            "CALL_BUDGET": "100/60",
        }
        replicas = await fleet.ready(3, POLL_S=str(POLL_S), **settings)
        tries: list[int] = []
        while len(fleet.calls) <= rotations or len(tries) <= ENOUGH:
            tries += [await tries_of_a_payment(fleet, replica) for replica in replicas]
        assert set(tries) <= {1, 2}
        assert min(await fleet.begun_gaps_s()) > REFRESH_AT_S / 2, "a call caused by a report would follow at once"


async def tries_of_a_payment(fleet: Fleet, replica: Replica) -> int:
    """Return how often an app had to call the partner until its token was accepted."""
    for number in range(1, 5):
        vended = (await replica.ask()).body
        header = {PARTNER.token_header: f"Bearer {vended['accessToken']}"}
        async with fleet.session.get(fleet.partner_url + PARTNER.probe_path, headers=header) as response:
            if response.status == 200:
                return number
        assert await replica.report(vended["tokenId"]) in ("already-replaced", "refreshing")
    raise AssertionError("never let in")
