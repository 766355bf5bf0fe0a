"""The partner issues the same token until it ends, with the whole seconds that it has left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.servers import RedisServer
from tests.support.processes import CONFIG, open_fleet
from tests.support.replica import until

TOKENS = 3


async def test_a_token_is_vended_to_its_declared_end_and_never_as_a_fresh_one(
    tmp_path: Path, own_redis_server: RedisServer
) -> None:
    config = replace(CONFIG, same_token=True, declares_lifetime=True, token_lifetime_s=4)
    async with open_fleet(tmp_path, own_redis_server, config) as fleet:
        settings = {"CALL_BUDGET": "500/60", "PARTNER_TIMEOUT_S": "2", "TOKEN_LIFETIME_S": "900"}
        (replica,) = await fleet.ready(1, **settings)
        lifetimes: set[object] = set()

        async def has_seen_enough() -> bool:
            answer = await replica.ask()
            if answer.status == 200:
                lifetimes.add((answer.body["lifetime"], answer.body["expiresIn"] <= 4))
            return (
                len(fleet.issued) >= TOKENS and await replica.metric("partner_requests_total", outcome="ok") >= TOKENS
            )

        await until(has_seen_enough)
        assert lifetimes == {("declared", True)}
