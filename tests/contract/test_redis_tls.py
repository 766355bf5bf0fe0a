"""TLS to Redis: the server is checked, we show who we are, and renewed certificates count without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sidecar import file_operations
from sidecar.core.errors import StoreError
from sidecar.file_operations import FileStalls
from sidecar.resolver import Resolver
from sidecar.stores.factory import Store
from sidecar.stores.redis import access
from sidecar.stores.redis.access import Access
from sidecar.stores.redis.replaceable_pool import ClientFactory
from tests.certificates import Authority, Pair
from tests.clusters import ClusterTrio
from tests.contract.operations import OPERATIONS, opened, run_one
from tests.contract.worlds import PROFILE, granted
from tests.sentinels import SERVICE, Sentinel
from tests.servers import RedisServer, free_port
from tests.support.held_reading import HeldReading
from tests.support.programs import server_with_tls
from tests.support.replica import HANG_S, until
from tests.support.store_urls import redis_url

needs_tls = server_with_tls()


@dataclass
class Bench:
    """A CA, and a server that demands a certificate of it; beside it a CA that nobody here trusts."""

    ca: Authority
    strange: Authority
    options: tuple[str, ...]
    mine: Pair
    """Where our own certificate lies; a renewal replaces it."""

    def query(self, *, ca: Path | None = None, shown: bool = True) -> str:
        own = f"&ssl_certfile={self.mine.certificate}&ssl_keyfile={self.mine.key}" if shown else ""
        return f"?ssl_ca_certs={ca or self.ca.certificate}{own}"

    def renew(self, issued: Pair) -> None:
        shutil.copy(issued.certificate, self.mine.certificate)
        shutil.copy(issued.key, self.mine.key)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("tls")
    ca, strange = Authority(folder / "ca"), Authority(folder / "strange")
    server = ca.issue("server")
    options = (
        "--tls-auth-clients", "yes", "--tls-ca-cert-file", str(ca.certificate),
        "--tls-cert-file", str(server.certificate), "--tls-key-file", str(server.key),
    )  # fmt: skip
    made = Bench(ca, strange, options, Pair(folder / "mine.pem", folder / "mine.key"))
    made.renew(ca.issue("client"))
    return made


@pytest.fixture(scope="module")
def server(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    tls_port = free_port()
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--tls-port", str(tls_port), *bench.options)
    server.tls_port = tls_port
    yield server.start()
    server.stop()


async def cause_of(url: str) -> str:
    async with opened(url) as store:
        with pytest.raises(StoreError) as caught:
            await store.ping()
    return caught.value.cause


@needs_tls
async def test_with_a_certificate_of_our_own_every_operation_works(bench: Bench, server: RedisServer) -> None:
    async with opened(f"rediss://127.0.0.1:{server.tls_port}{bench.query()}") as store:
        await store.ping()
        for operation in OPERATIONS:
            await run_one(store.shared_state(PROFILE), operation)


@needs_tls
async def test_what_is_wrong_with_the_certificates_is_said(bench: Bench, server: RedisServer) -> None:
    place = f"rediss://127.0.0.1:{server.tls_port}"
    causes = {
        f"{place}{bench.query(shown=False)}": "CertificateRefusedError",
        f"{place}{bench.query(ca=bench.strange.certificate)}": "SSLCertVerificationError",
        f"rediss://localhost:{server.tls_port}{bench.query()}": "SSLCertVerificationError",
        place: "SSLCertVerificationError",
    }
    assert {url: await cause_of(url) for url in causes} == causes


@needs_tls
async def test_a_given_ca_is_trusted_instead_of_the_systems(
    bench: Bench, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(bench.ca.certificate))
    own = f"ssl_certfile={bench.mine.certificate}&ssl_keyfile={bench.mine.key}"
    async with opened(f"rediss://127.0.0.1:{server.tls_port}?{own}") as store:
        await store.ping()
    strange = f"ssl_ca_certs={bench.strange.certificate}&{own}"
    assert await cause_of(f"rediss://127.0.0.1:{server.tls_port}?{strange}") == "SSLCertVerificationError"


@needs_tls
async def test_a_renewed_certificate_counts_from_the_next_connection(bench: Bench, server: RedisServer) -> None:
    """First one the server does not trust, as after a change of the CA; then half, and then all of the right one."""
    good = bench.ca.issue("renewed")
    bench.renew(bench.strange.issue("stranger"))
    async with opened(f"rediss://127.0.0.1:{server.tls_port}{bench.query()}") as store:
        with pytest.raises(StoreError) as caught:
            await store.ping()
        assert caught.value.cause == "CertificateRefusedError"
        shutil.copy(good.certificate, bench.mine.certificate)
        with pytest.raises(StoreError) as caught:  # the key is still the other one's
            await store.ping()
        assert caught.value.cause == "SSLError"
        bench.renew(good)
        await store.shared_state(PROFILE).peek(0)


@needs_tls
async def test_sentinels_and_the_master_they_name_speak_tls(
    bench: Bench, server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tls_port = free_port()
    options = (bench.options[at : at + 2] for at in range(0, len(bench.options), 2))
    lines = [f"{name.removeprefix('--')} {value}" for name, value in options]
    sentinel = Sentinel(
        tmp_path_factory.mktemp("sentinel"), server.tls_port, f"tls-port {tls_port}", "tls-replication yes", *lines
    )
    sentinel.start()
    try:
        async with opened(f"rediss+sentinel://127.0.0.1:{tls_port}/{SERVICE}{bench.query()}") as store:
            await granted(store.shared_state(replace(PROFILE, account="through-sentinel")))
        where = f"rediss+sentinel://127.0.0.1:{tls_port}/{SERVICE}"
        assert await cause_of(f"{where}{bench.query(shown=False)}") == "CertificateRefusedError"
    finally:
        sentinel.stop()


@needs_tls
async def test_every_node_of_a_cluster_speaks_tls(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> None:
    with ClusterTrio(tmp_path_factory.mktemp("cluster"), *bench.options, tls=True).started() as cluster:
        async with opened(f"{cluster.url}{bench.query()}") as store:
            for number in range(12):
                await granted(store.shared_state(replace(PROFILE, account=f"p{number}")))
        assert all(node.command("DBSIZE") > 0 for node in cluster.nodes)


@needs_tls
async def test_a_connection_that_is_given_up_is_closed_although_the_server_says_no_goodbye(
    bench: Bench, server: RedisServer
) -> None:
    url = redis_url(f"rediss://127.0.0.1:{server.tls_port}{bench.query()}")
    trusted = Access(url, FileStalls(), 60).certificates
    connection = ClientFactory(60, Resolver(60), None, trusted).connection(url.addresses[0])
    await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
    assert connection._writer is not None
    open_socket = connection._writer.get_extra_info("socket")
    server.pause()
    try:
        await connection.disconnect(nowait=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert open_socket.fileno() == -1
    finally:
        server.resume()


async def is_reachable(store: Store) -> bool:
    with contextlib.suppress(StoreError):
        await store.ping()
        return True
    return False


@needs_tls
async def test_while_the_certificates_hang_those_of_before_are_used_for_new_connections(
    bench: Bench, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldReading[os.stat_result](bench.mine.certificate.stat())
    async with opened(f"rediss://127.0.0.1:{server.tls_port}{bench.query()}", HANG_S) as store:
        await store.ping()
        monkeypatch.setattr(access, "stamp_of", lambda _: held())
        monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)
        held.answers.clear()
        try:
            for _ in range(2):
                await asyncio.to_thread(server.command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await until(lambda: is_reachable(store))
            assert held.calls == 1
        finally:
            held.answers.set()
