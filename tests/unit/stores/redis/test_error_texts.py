"""The texts of `check` about a Redis server, from exception class and first word alone."""

from __future__ import annotations

import socket

import pytest
from redis.exceptions import AuthenticationError, MovedError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sidecar.core.store_url import RedisUrl, Topology
from sidecar.stores.redis.access import PasswordFileError
from sidecar.stores.redis.error_texts import code_of, words_for
from sidecar.stores.redis.probe import SENTINEL, UNSEEN, notes_in, problems_in, read_info
from tests.support.store_urls import redis_url

SERVER = redis_url("redis://redis.test")
TLS = redis_url("rediss://redis.test")
CLUSTER = redis_url("redis+cluster://redis.test")
SOCKET = redis_url("unix:///run/redis.sock")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ResponseError("NOREPLICAS canary"), "NOREPLICAS"),
        (ReadOnlyError("canary", status_code="READONLY"), "READONLY"),
        (ResponseError("canary text"), ""),
        (ResponseError(""), ""),
        (RedisConnectionError("NOAUTH is not what a server said"), ""),
        (OSError("CANARY"), ""),
    ],
)
def test_a_code_is_the_first_word_of_a_servers_error(error: Exception, code: str) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize(
    "error",
    [
        ResponseError("MISCONF canary"), ResponseError("ERR canary"), RedisConnectionError("canary"), OSError("canary"),
        socket.gaierror("canary"), PasswordFileError("canary"), PermissionError("canary"), RuntimeError("canary"),
        AuthenticationError("canary", status_code="WRONGPASS"), RedisTimeoutError("canary"), ResponseError("canary"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("url", [SERVER, TLS, CLUSTER, SOCKET], ids=lambda url: url.topology)
def test_no_text_of_a_server_or_of_the_system_is_shown(error: Exception, url: RedisUrl) -> None:
    assert words_for(error, url)
    assert "canary" not in words_for(error, url)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(), "the name is unknown"),
        (PasswordFileError(), "the file of the option password_file"),
        (RedisTimeoutError(), "no response within SIDECAR_STORE_TIMEOUT_S"),
        (ConnectionResetError(), "it closed the connection without a response: if the port has TLS, use rediss://"),
        (OSError(), "it cannot be reached (OSError)"),
        (RuntimeError(), "it cannot be reached (RuntimeError)"),
    ],
)
def test_every_connection_problem_has_a_text(error: Exception, words: str) -> None:
    assert words_for(error, SERVER).startswith(words)


def test_an_error_that_redis_py_wraps_is_used() -> None:
    wrapped = RedisConnectionError("Error 111")
    wrapped.__cause__ = ConnectionRefusedError()
    assert words_for(wrapped, SERVER).startswith("connection refused")


def test_with_tls_a_port_without_it_is_a_possible_cause() -> None:
    for error in (RedisTimeoutError(), ConnectionResetError()):
        assert words_for(error, TLS).endswith("if the port has no TLS, use redis://")


def test_a_redirection_has_another_text_in_a_cluster() -> None:
    moved = MovedError("1 127.0.0.1:7000", status_code="MOVED")
    assert "use redis+cluster://" in words_for(moved, SERVER)
    assert "moving keys: try again" in words_for(moved, CLUSTER)


GOOD = b"""# Server\r
redis_version:7.0.15\r
redis_mode:standalone\r
role:master\r
maxmemory:0\r
maxmemory_policy:noeviction\r
"""


def test_a_suitable_server_causes_no_note() -> None:
    info = read_info(GOOD)
    assert (problems_in(info, Topology.SERVER), notes_in(info)) == ([], [])


@pytest.mark.parametrize("reply", [None, b"", b"\xff\xfe:", [b"role:slave"], 7])
def test_an_empty_reply_is_a_note(reply: object) -> None:
    info = read_info(reply)
    assert (problems_in(info, Topology.SERVER), notes_in(info)) == ([], [UNSEEN])


@pytest.mark.parametrize(("version", "count"), [(b"5.0.14", 1), (b"6.0.9", 1), (b"6.2.0", 0), (b"7.2.4", 0), (b"x", 0)])
def test_an_untested_version_is_a_note(version: bytes, count: int) -> None:
    assert len(notes_in(read_info(GOOD.replace(b"7.0.15", version)))) == count


@pytest.mark.parametrize("name", [b"redis_mode", b"server_mode"], ids=["redis", "valkey"])
def test_a_sentinel_is_distinguished_from_a_server(name: bytes) -> None:
    assert problems_in(read_info(name + b":sentinel\r\n"), Topology.SERVER) == [SENTINEL]


def test_a_policy_that_is_not_a_word_is_not_shown() -> None:
    info = read_info(b"maxmemory:1\r\nmaxmemory_policy:<canary>\r\n")
    (problem,) = problems_in(info, Topology.SERVER)
    assert "its maxmemory-policy is another, " in problem
