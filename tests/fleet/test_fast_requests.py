"""A response from memory causes no command on the store."""

from __future__ import annotations

import asyncio

from tests.support.processes import Fleet
from tests.support.replica import until

REQUESTS, CONNECTIONS = 10_000, 16


async def test_10000_requests_for_a_token_in_memory_cause_no_redis_command(fleet: Fleet) -> None:
    """The replica polls the store only once in 42 to 60 seconds here, so it sends no command meanwhile."""
    replica = (await fleet.ready(1, POLL_S="60"))[0]
    # The token is vended first and committed then: once it is in Redis, the replica does nothing more.
    await until(lambda: bool(fleet.redis.command("KEYS", "pts:*:token")))
    request_numbers = iter(range(REQUESTS))

    async def keep_asking() -> int:
        return sum([(await replica.ask()).status == 200 for _ in request_numbers])

    fleet.redis.forget_counts()
    good = sum(await asyncio.gather(*(keep_asking() for _ in range(CONNECTIONS))))

    assert good == REQUESTS
    assert set(fleet.redis.command_counts()) <= {"config|resetstat", "info"}, "only commands of this test"
    assert await replica.metric("requests_total", route="token", code="ok") == REQUESTS
    assert len(fleet.calls) == 1


async def test_the_polling_would_be_seen(fleet: Fleet) -> None:
    """Show that the test above can fail."""
    await fleet.ready(1, POLL_S="0.05")
    fleet.redis.forget_counts()
    await until(lambda: fleet.redis.command_counts().get("evalsha", 0) > 2)
