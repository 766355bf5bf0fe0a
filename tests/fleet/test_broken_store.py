"""Redis answers each operation with an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers import RedisServer, free_port
from tests.support.processes import Fleet
from tests.support.replica import until

READABLE = ("READONLY", "OOM")
"""Reads still work, so a replica that only reads detects nothing."""


def demand_password(redis: RedisServer) -> None:
    redis.command("CONFIG", "SET", "requirepass", "other")
    redis.command("CLIENT", "KILL", "TYPE", "normal")  # open connections would stay authenticated


BREAK: dict[str, Callable[[RedisServer], object]] = {
    "READONLY": lambda redis: redis.command("REPLICAOF", "127.0.0.1", free_port()),
    "OOM": lambda redis: redis.command("CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction"),
    "NOAUTH": demand_password,
    "NOPERM": lambda redis: redis.command("ACL", "SETUSER", "default", "-eval", "-evalsha"),
}
REPAIR: dict[str, Callable[[RedisServer], object]] = {
    "READONLY": lambda redis: redis.command("REPLICAOF", "NO", "ONE"),
    "OOM": lambda redis: redis.command("CONFIG", "SET", "maxmemory", "0"),
    "NOAUTH": lambda redis: redis.command("CONFIG", "SET", "requirepass", ""),
    "NOPERM": lambda redis: redis.command("ACL", "SETUSER", "default", "+@all"),
}


@pytest.mark.parametrize(
    "answer", ["READONLY", "NOAUTH", *(pytest.param(answer, marks=pytest.mark.slow) for answer in ("OOM", "NOPERM"))]
)
async def test_a_store_that_returns_errors_counts_as_down(fleet: Fleet, answer: str) -> None:
    """A replica with a token goes on vending it; a replica without one answers 503 and does not call the partner."""
    warm = (await fleet.ready(1, POLL_S="0.3"))[0]
    token_id = (await warm.ask()).token_id
    await until(lambda: bool(fleet.redis.command("KEYS", "pts:*:token")))
    BREAK[answer](fleet.redis)

    # The same account for the partner, but another one for the store, where it finds no token to adopt.
    elsewhere = fleet.partner_url.replace("127.0.0.1", "localhost")
    cold = (await fleet.start(1, BASE_URL=elsewhere, STORE_FAILURE="fail", REQUEST_TIMEOUT_S="2"))[0]
    await until(lambda: bool(cold.events("store_failed")))
    refused = [await cold.ask() for _ in range(10)]
    if answer not in READABLE:
        await until(lambda: bool(warm.events("store_failed")))
        assert await warm.metric("store_up") == 0
    served = await warm.ask()

    assert {(no.status, no.code) for no in refused} == {(503, "store-unavailable")}
    assert all(int(no.headers["Retry-After"]) >= 1 for no in refused)
    assert served.token_id == token_id
    assert "suspect" not in served.body
    assert len(fleet.calls) == 1

    REPAIR[answer](fleet.redis)
    await until(cold.ready)
    assert (await warm.ask()).token_id == token_id
    assert len(fleet.calls) == 2
