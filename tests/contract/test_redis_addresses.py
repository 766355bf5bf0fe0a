"""The addresses behind a name of Redis: some lead nowhere, the zone may be silent, and an error says where it was."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from aiohappyeyeballs import start_connection

from sidecar.core.errors import StoreError
from sidecar.resolver import Resolver
from sidecar.stores.redis import connection
from sidecar.stores.redis.connection import MAX_REMEMBERED, TcpConnector
from tests.certificates import Authority
from tests.clusters import Node
from tests.contract.named import HERE, NOWHERE, THERE, named, pool_of
from tests.contract.worlds import PROFILE, fetched
from tests.sentinels import SERVICE, Sentinel
from tests.servers import RedisServer, free_port
from tests.support.programs import server_with_tls
from tests.support.relays import black_hole, relay
from tests.support.replica import PATIENT_S
from tests.support.zone import Zone


async def test_a_silent_zone_costs_no_operation_once_the_name_was_found(
    redis_server: RedisServer, zone: Zone, port: int
) -> None:
    url = f"redis://redis:{port}"
    async with relay(HERE, port, redis_server.port), named(url, zone, look_up_wait_s=0.1) as store:
        shared = store.shared_state(PROFILE)
        token = await fetched(shared, "access-here")
        zone.silence("redis")
        pool_of(store).leave()
        states = await asyncio.gather(*(shared.peek(0) for _ in range(4)))
        assert {state.token_id for state in states} == {token.token_id}
    assert zone.asked == ["redis"] * 2


async def test_a_dead_first_address_costs_no_operation(redis_server: RedisServer, zone: Zone, port: int) -> None:
    zone.addresses["redis"] = (NOWHERE, HERE)
    with black_hole(NOWHERE, port):
        async with relay(HERE, port, redis_server.port), named(f"redis://redis:{port}", zone) as store:
            await store.shared_state(PROFILE).peek(0)


async def test_the_address_that_worked_is_tried_first_the_next_time(
    redis_server: RedisServer, zone: Zone, port: int
) -> None:
    zone.addresses["redis"] = (NOWHERE, HERE)
    tcp = TcpConnector(Resolver(1, zone.look_up), PATIENT_S)
    async with relay(HERE, port, redis_server.port):
        with black_hole(NOWHERE, port), await tcp.connect("redis", port) as first:
            assert first.getpeername()[0] == HERE
        async with relay(NOWHERE, port, redis_server.port):
            with await tcp.connect("redis", port) as second:
                assert second.getpeername()[0] == HERE


async def test_of_many_addresses_the_last_one_still_has_its_turn_within_the_time_limit(
    redis_server: RedisServer, zone: Zone, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The turns are counted and not timed: a busy machine takes each of them later."""
    delays_s = []

    async def start(found: list[Any], *, happy_eyeballs_delay: float) -> socket.socket:
        delays_s.extend([happy_eyeballs_delay] * len(found))
        return await start_connection(found, happy_eyeballs_delay=happy_eyeballs_delay)

    monkeypatch.setattr(connection, "start_connection", start)
    zone.addresses["redis"] = (*[NOWHERE] * 30, HERE)
    limit_s = 2
    tcp = TcpConnector(Resolver(1, zone.look_up), limit_s)
    async with relay(HERE, port, redis_server.port):
        with black_hole(NOWHERE, port), await tcp.connect("redis", port) as connected:
            assert connected.getpeername()[0] == HERE
    assert len(delays_s) == 31
    assert sum(delays_s) <= limit_s / 2 + 0.001


async def test_no_more_addresses_are_remembered_than_a_process_needs(zone: Zone, port: int) -> None:
    tcp = TcpConnector(Resolver(1, zone.look_up), PATIENT_S)
    with socket.create_server((HERE, port), backlog=1000):
        for number in range(MAX_REMEMBERED + 10):
            zone.addresses[f"n{number}"] = (HERE, THERE)
            (await tcp.connect(f"n{number}", port)).close()
    assert len(tcp._worked) == MAX_REMEMBERED


async def fails_at(address: str, url: str, zone: Zone) -> None:
    """Wait for an error that names this address: on a busy machine the time limit may end earlier steps."""
    while True:
        async with named(url, zone, 0.5) as store:
            with pytest.raises(StoreError) as caught:
                await store.ping()
        if caught.value.address == address:
            return
        assert caught.value.cause == "TimeoutError"


async def test_an_error_names_the_server_that_was_asked(zone: Zone, port: int, tmp_path: Path) -> None:
    await fails_at(f"redis:{port}", f"redis://:canary@redis:{port}", zone)
    with black_hole(HERE, port):
        await fails_at(f"redis:{port}", f"redis://redis:{port}", zone)
    await fails_at(f"unix:{tmp_path}/none.sock", f"unix://{tmp_path}/none.sock", zone)
    zone.silence("redis")
    await fails_at(f"redis:{port}", f"redis+cluster://redis:{port}", zone)


async def test_an_error_names_the_master_that_the_sentinels_announce(
    redis_server: RedisServer, own_redis_server: RedisServer, zone: Zone, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As behind NAT: the sentinels are reached, and what they announce is not."""
    sentinel = Sentinel(tmp_path_factory.mktemp("sentinel"), own_redis_server.port).start()
    try:
        own_redis_server.pause()
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/{SERVICE}"
        await fails_at(f"127.0.0.1:{own_redis_server.port}", url, zone)
        sentinel.stop()
        await fails_at(f"127.0.0.1:{sentinel.port}", url, zone)
    finally:
        sentinel.stop()


async def test_an_error_names_the_node_that_the_cluster_announces(
    clusters: tuple[Node, Node], zone: Zone, port: int
) -> None:
    old, _ = clusters
    old.command("CONFIG", "SET", "cluster-announce-port", port)
    with black_hole("127.0.0.1", port):
        await fails_at(f"127.0.0.1:{port}", f"redis+cluster://127.0.0.1:{old.port}", zone)


@server_with_tls()
async def test_with_tls_it_is_the_name_that_is_verified(
    zone: Zone, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ca = Authority(tmp_path / "ca")
    for whose, works in (("DNS:redis", True), ("IP:127.0.0.1", False)):
        pair, tls_port = ca.issue(whose[:2], whose), free_port()
        server = RedisServer(
            tmp_path_factory.mktemp("redis"), "--tls-port", str(tls_port), "--tls-auth-clients", "no",
            "--tls-ca-cert-file", str(ca.certificate), "--tls-cert-file", str(pair.certificate),
            "--tls-key-file", str(pair.key),
        ).start()  # fmt: skip
        zone.addresses["redis"] = ("127.0.0.1",)
        try:
            async with named(f"rediss://redis:{tls_port}?ssl_ca_certs={ca.certificate}", zone) as store:
                if works:
                    await store.ping()
                    continue
                with pytest.raises(StoreError) as caught:
                    await store.ping()
                assert caught.value.cause == "SSLCertVerificationError"
        finally:
            server.stop()
