"""Real processes on a machine where names change their address, or where DNS never answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.servers import RedisServer, free_port
from tests.support.own_names import OwnNames, needs_own_names
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.relays import relay
from tests.support.replica import SERVE, until

pytestmark = needs_own_names()

HERE, THERE = "127.0.0.2", "127.0.0.3"
SOON = """
from sidecar.stores.redis import replaceable_pool
replaceable_pool.RENEW_AFTER_S = (1, 2)
from sidecar.__main__ import main
main()
"""
"""A sidecar that renews its connections soon enough for a test."""


async def test_a_silent_name_server_of_the_store_delays_neither_the_partners_look_up_nor_the_stop(
    fleet: Fleet, silent_names: OwnNames
) -> None:
    """The partner call would time out after ten seconds, and cost a permit."""
    settings = {
        "STORE": "redis://redis.silent.test",
        "BASE_URL": fleet.partner_url.replace("127.0.0.1", "localhost"),
        "POLL_S": "0.5",
        "STORE_TIMEOUT_S": "0.3",
        "PARTNER_TIMEOUT_S": "10",
    }
    replica = fleet.launch(silent_names.argv(*SERVE), **settings)
    await replica.listening()
    await until(replica.ready)
    assert await replica.metric("store_errors_total") >= 2
    assert await replica.metric("partner_requests_total") == len(fleet.calls) == 1
    await fleet.stop(replica)


async def test_a_silent_name_server_of_the_partner_delays_no_stop(fleet: Fleet, silent_names: OwnNames) -> None:
    replica = fleet.launch(silent_names.argv(*SERVE), BASE_URL="https://partner.silent.test", PARTNER_TIMEOUT_S="1")
    await replica.listening()

    async def called() -> bool:
        return await replica.metric("partner_requests_total", outcome="timeout") >= 1

    await until(called)
    await fleet.stop(replica)


async def test_a_moved_name_of_the_store_is_followed_without_a_call_while_the_old_server_runs(
    tmp_path: Path, redis_server: RedisServer, own_redis_server: RedisServer
) -> None:
    """The partner revokes the previous token, so replicas on two stores would end each other's tokens."""
    port, names = free_port(), OwnNames(tmp_path)
    names.resolve_to(redis=HERE)
    async with (
        relay(HERE, port, own_redis_server.port),
        relay(THERE, port, redis_server.port),
        open_fleet(tmp_path, own_redis_server, replace(CONFIG, revoke_previous=True)) as fleet,
    ):

        async def start() -> None:
            replica = fleet.launch(names.argv("-c", SOON, "serve"), STORE=f"redis://redis.test:{port}", POLL_S="0.5")
            await replica.listening()
            await until(replica.ready)
            fleet.replicas.append(replica)

        def clients(server: RedisServer) -> int:
            return len(server.command("CLIENT", "LIST", "TYPE", "NORMAL").splitlines()) - 1

        for _ in range(3):
            await start()
        assert clients(own_redis_server) >= 3
        names.resolve_to(redis=THERE)
        await until(lambda: clients(own_redis_server) == 0 and clients(redis_server) >= 3)
        await until(lambda: len(redis_server.command("KEYS", "*")) == 2)
        await start()
        await until(fleet.agree_on_the_newest)
        assert len(fleet.calls) == 1
        assert own_redis_server.is_running
