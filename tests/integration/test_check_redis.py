"""`check` with a real Redis in each faulty state: it says what is wrong, where, and what to do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from sidecar.stores.redis.probe import LEAST_RIGHTS
from tests.release.checkout import TOP
from tests.servers import RedisServer, free_port
from tests.support.capless import capless
from tests.support.programs import server_with_tls
from tests.support.replica import until
from tests.support.store_check import SETTINGS, always_answering, balanced, failures, notes, store_lines

needs_tls = server_with_tls()
UNSEEN = "maxmemory-policy could not be read (it must be noeviction)"
PASSWORD = "kanary-password"


def user_with(server: RedisServer, *rules: str) -> str:
    """The URL of the server for a user with only these rights."""
    server.command("ACL", "SETUSER", "sidecar", "reset", "on", f">{PASSWORD}", *rules)
    return f"redis://sidecar:{PASSWORD}@127.0.0.1:{server.port}"


def where(server: RedisServer) -> str:
    return f"127.0.0.1:{server.port}: "


@pytest.fixture
async def replica(
    own_redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RedisServer]:
    """A replica of the server that only this test uses."""
    options = ("--replicaof", "127.0.0.1", str(own_redis_server.port))
    server = RedisServer(tmp_path_factory.mktemp("replica"), *options).start()
    await until(lambda: server.command("INFO", "replication")["master_link_status"] == "up")
    yield server
    server.stop()


async def test_a_server_that_is_fit_for_use_has_one_line(redis_server: RedisServer) -> None:
    (line,) = await store_lines(redis_server.url)
    assert (line.ok, line.what, line.detail) == (True, "store (redis)", "")


async def test_every_operation_is_tried_and_no_key_is_left(redis_server: RedisServer) -> None:
    """The server counts the scripts of the service and their commands."""
    assert await notes(redis_server.url) == []
    counts = redis_server.command_counts()
    assert counts["evalsha"] + counts["eval"] >= 6
    assert {"get", "set", "time", "ping"} <= counts.keys()
    await until(lambda: redis_server.command("KEYS", "*") == [])


async def test_the_least_rights_suffice_and_what_they_do_not_show_is_a_note(own_redis_server: RedisServer) -> None:
    (note,) = await notes(user_with(own_redis_server, *LEAST_RIGHTS.split()))
    assert note.startswith(where(own_redis_server) + UNSEEN)
    await until(lambda: own_redis_server.command("KEYS", "*") == [])


@pytest.mark.parametrize("right", LEAST_RIGHTS.split()[4:])
async def test_a_right_that_is_missing_is_named_though_the_scripts_are_known(
    own_redis_server: RedisServer, right: str
) -> None:
    """EVAL is not needed again until the server restarts."""
    await notes(own_redis_server.url)
    url = user_with(own_redis_server, *(rule for rule in LEAST_RIGHTS.split() if rule != right))
    (failure,) = await failures(url)
    assert failure == f"{where(own_redis_server)}its user lacks {right}: ACL SETUSER … {LEAST_RIGHTS}"


async def test_all_rights_that_are_missing_are_named_at_once(own_redis_server: RedisServer) -> None:
    url = user_with(own_redis_server, "~pts:*", "+get", "+ping")
    (failure,) = await failures(url)
    assert "lacks +time +eval +evalsha +set: " in failure


async def test_a_user_with_other_keys_only_lacks_ours(own_redis_server: RedisServer) -> None:
    (failure,) = await failures(user_with(own_redis_server, *LEAST_RIGHTS.replace("~pts:*", "~other:*").split()))
    assert "its user lacks ~pts:*: " in failure


async def test_a_database_that_may_not_be_selected_or_is_not_there_is_said(own_redis_server: RedisServer) -> None:
    url = user_with(own_redis_server, *LEAST_RIGHTS.split())
    assert await failures(f"{url}/3") == [
        f"{where(own_redis_server)}its user lacks +select, which database 3 requires: add it, or use database 0"
    ]
    (failure,) = await failures(f"{own_redis_server.url}/99")
    assert "it has no database 99" in failure


async def test_the_password_is_missing_wrong_or_one_too_many(own_redis_server: RedisServer) -> None:
    place = f"127.0.0.1:{own_redis_server.port}"
    for url, words in (
        (f"redis://:{PASSWORD}@{place}", "its default user has no password"),
        (f"redis://nobody:{PASSWORD}@{place}", "user or password is wrong"),
    ):
        (failure,) = await failures(url)
        assert words in failure
        assert PASSWORD not in failure
    own_redis_server.command("CONFIG", "SET", "requirepass", PASSWORD)
    (failure,) = await failures(own_redis_server.url)
    assert failure.startswith(f"{place}: it requires a password, and SIDECAR_STORE has none")


async def test_a_replica_is_told_from_its_master(own_redis_server: RedisServer, replica: RedisServer) -> None:
    (failure,) = await failures(replica.url)
    assert failure.startswith(where(replica) + "it is a read-only replica: use its master")
    replica.command("CONFIG", "SET", "replica-read-only", "no")
    (failure,) = await failures(replica.url)
    assert failure.startswith(where(replica) + "it is a read-only replica"), "what it is told it forgets"


async def test_with_the_least_rights_a_replica_is_seen_by_its_answer(
    own_redis_server: RedisServer, replica: RedisServer
) -> None:
    (failure,) = await failures(user_with(replica, *LEAST_RIGHTS.split()))
    assert "it is a read-only replica" in failure


async def test_a_replica_that_lost_its_master_says_so(own_redis_server: RedisServer, replica: RedisServer) -> None:
    replica.command("CONFIG", "SET", "replica-serve-stale-data", "no")
    own_redis_server.stop()
    await until(lambda: replica.command("INFO", "replication")["master_link_status"] == "down")
    assert any(
        "it is a replica without a connection to its master" in failure for failure in await failures(replica.url)
    )


async def test_a_name_that_balances_over_master_and_replica_is_found(
    own_redis_server: RedisServer, replica: RedisServer
) -> None:
    async with balanced([own_redis_server, replica]) as port:
        (failure,) = await failures(f"redis://127.0.0.1:{port}")
    assert failure.startswith(f"127.0.0.1:{port}: ")
    assert "of 8 connections: it is a read-only replica" in failure
    assert "The name must resolve to one server" in failure


async def test_fewer_replicas_than_are_demanded_are_said(own_redis_server: RedisServer) -> None:
    own_redis_server.command("CONFIG", "SET", "min-replicas-to-write", 1)
    (failure,) = await failures(own_redis_server.url)
    assert failure.startswith(where(own_redis_server) + "it has fewer replicas than min-replicas-to-write")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_evicts_is_refused(own_redis_server: RedisServer, policy: str) -> None:
    own_redis_server.command("CONFIG", "SET", "maxmemory-policy", policy)
    assert await failures(own_redis_server.url) == [], "without a limit nothing is evicted"
    own_redis_server.command("CONFIG", "SET", "maxmemory", "100mb")
    (failure,) = await failures(own_redis_server.url)
    assert f"its maxmemory-policy is {policy}, " in failure
    assert "set noeviction" in failure
    own_redis_server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert await failures(own_redis_server.url) == []


async def test_a_server_that_is_full_is_said(own_redis_server: RedisServer) -> None:
    own_redis_server.command("CONFIG", "SET", "maxmemory", 1)
    assert await failures(own_redis_server.url) == [
        f"{where(own_redis_server)}its memory is full: raise maxmemory, or remove other data"
    ]


async def test_a_server_that_could_not_save_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("redis")
    (folder / "data").mkdir()
    server = RedisServer(folder, "--dir", str(folder / "data"), "--save", "3600 1").start()
    try:
        (folder / "data").rmdir()
        server.command("BGSAVE")
        await until(lambda: server.command("INFO", "persistence")["rdb_last_bgsave_status"] == "err")
        (failure,) = await failures(server.url)
        assert "it refuses writes because it could not save to disk" in failure
    finally:
        server.stop()


async def test_nobody_and_silence_are_said_with_the_address(own_redis_server: RedisServer) -> None:
    port = free_port()
    (failure,) = await failures(f"redis://:{PASSWORD}@127.0.0.1:{port}")
    assert failure.startswith(f"127.0.0.1:{port}: connection refused")
    own_redis_server.pause()
    (failure,) = await failures(own_redis_server.url, SIDECAR_STORE_TIMEOUT_S="0.2")
    assert failure.startswith(where(own_redis_server) + "no response within SIDECAR_STORE_TIMEOUT_S")
    own_redis_server.resume()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"-LOADING Redis is loading\r\n", "it is loading its data"),
        (b"-DENIED Redis is running in protected mode\r\n", "it is in protected mode"),
        (b"-BUSY a script\r\n", "a script of another client blocks it"),
        (b"-ERR max number of clients reached\r\n", "it is at its client limit"),
        (b"-ERR unknown command\r\n", "it lacks a required command"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the server there is not Redis"),
    ],
)
async def test_what_a_server_may_answer_to_everything_has_words(answer: bytes, words: str) -> None:
    async with always_answering(answer) as port:
        found = await failures(f"redis://127.0.0.1:{port}")
    assert [failure.startswith(f"127.0.0.1:{port}: {words}") for failure in found] == [True]


async def test_tls_where_none_is_spoken_is_said(redis_server: RedisServer) -> None:
    (failure,) = await failures(f"rediss://127.0.0.1:{redis_server.port}")
    assert failure.startswith(where(redis_server))
    assert failure.endswith("if the port has no TLS, use redis://")


async def test_a_socket_that_is_not_there_is_said(own_redis_server: RedisServer) -> None:
    assert await failures(own_redis_server.unix_url) == []
    path = own_redis_server.socket_path.with_name("other.sock")
    (failure,) = await failures(f"unix://{path}")
    assert failure.startswith(f"unix:{path}: the path has no socket")


def test_a_socket_that_this_user_may_not_use_is_said_by_the_real_command(own_redis_server: RedisServer) -> None:
    """Root without its capabilities is a user like any other."""
    own_redis_server.socket_path.chmod(0)
    environ = {**os.environ, **SETTINGS, "SIDECAR_STORE": own_redis_server.unix_url}
    done = subprocess.run(
        capless("-m", "sidecar", "check"), env=environ, cwd=TOP, capture_output=True, text=True, check=False, timeout=60
    )
    (failed,) = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert f"store (redis): unix:{own_redis_server.socket_path}: this user may not use it" in failed
    assert done.returncode == 1


def test_the_real_command_says_each_line_and_its_exit_code(own_redis_server: RedisServer) -> None:
    def run(url: str) -> tuple[int, list[str]]:
        environ = {**os.environ, **SETTINGS, "SIDECAR_STORE": url}
        done = subprocess.run(
            [sys.executable, "-m", "sidecar", "check"],
            env=environ, cwd=TOP, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert PASSWORD not in done.stdout + done.stderr
        return done.returncode, [line for line in done.stdout.splitlines() if " store (" in line]

    code, (note, fine) = run(user_with(own_redis_server, *LEAST_RIGHTS.split()))
    assert (code, note[:8], fine) == (0, "note    ", "ok       store (redis)")
    code, (failed, note) = run(user_with(own_redis_server, *LEAST_RIGHTS.split(), "-set"))
    assert (code, failed[:8], note[:8]) == (1, "FAILED  ", "note    ")
    assert run("redis://nowhere:port")[0] == 2


@needs_tls
async def test_a_tls_port_without_tls_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.certificates import Authority

    authority = Authority(tmp_path_factory.mktemp("tls") / "ca")
    pair, tls_port = authority.issue("server"), free_port()
    server = RedisServer(
        tmp_path_factory.mktemp("redis"), "--tls-port", str(tls_port), "--tls-ca-cert-file", str(authority.certificate),
        "--tls-cert-file", str(pair.certificate), "--tls-key-file", str(pair.key),
    ).start()  # fmt: skip
    try:
        (failure,) = await failures(f"redis://127.0.0.1:{tls_port}")
        assert failure.endswith("it closed the connection without a response: if the port has TLS, use rediss://")
        (failure,) = await failures(f"rediss://127.0.0.1:{tls_port}?ssl_ca_certs={authority.certificate}")
        assert "it requires a client certificate" in failure
        (failure,) = await failures(f"rediss://127.0.0.1:{tls_port}")
        assert "its certificate is not trusted" in failure
    finally:
        await asyncio.to_thread(server.stop)
