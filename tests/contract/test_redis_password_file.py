"""A password from a file that rotates."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sidecar import file_operations
from sidecar.core.errors import StoreError
from sidecar.core.ports import SharedState
from sidecar.stores.redis import access as password_file_module
from sidecar.stores.redis.probe import LEAST_RIGHTS
from tests.contract.operations import opened
from tests.contract.worlds import PROFILE, granted
from tests.servers import RedisServer
from tests.support.held_reading import HeldReading
from tests.support.replica import HANG_S


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "store-password"
    path.write_text("canary-one\n")
    return path


@pytest.fixture
def url(own_redis_server: RedisServer, password_file: Path) -> str:
    own_redis_server.command("ACL", "SETUSER", "app", "on", ">canary-one", *LEAST_RIGHTS.split())
    return f"redis://app@127.0.0.1:{own_redis_server.port}?password_file={password_file}"


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def close_connections(server: RedisServer) -> None:
    """And let this loop see it, as it would in life."""
    await asyncio.to_thread(server.command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    for _ in range(10):
        await asyncio.sleep(0)


async def cause_of(shared: SharedState) -> str:
    with pytest.raises(StoreError) as caught:
        await shared.peek(0)
    assert "canary" not in str(caught.value)
    return caught.value.cause


async def test_a_rotation_with_both_passwords_valid_is_not_noticed(
    own_redis_server: RedisServer, password_file: Path, url: str
) -> None:
    async with opened(url) as store:
        shared = store.shared_state(PROFILE)
        await granted(shared)
        own_redis_server.command("ACL", "SETUSER", "app", ">canary-two")
        put(password_file, b"canary-two")
        own_redis_server.command("ACL", "SETUSER", "app", "<canary-one")
        await shared.peek(0)  # who is connected stays welcome
        await close_connections(own_redis_server)
        await shared.peek(0)


async def test_a_file_that_comes_after_the_new_password_is_enough_to_recover(
    own_redis_server: RedisServer, password_file: Path, url: str
) -> None:
    async with opened(url) as store:
        shared = store.shared_state(PROFILE)
        await granted(shared)
        own_redis_server.command("ACL", "SETUSER", "app", ">canary-two", "<canary-one")
        await close_connections(own_redis_server)
        assert await cause_of(shared) == "AuthenticationError"
        put(password_file, b"canary-two")
        await shared.peek(0)


async def test_a_file_that_is_gone_empty_or_no_text_is_a_store_that_is_down(
    own_redis_server: RedisServer, password_file: Path, url: str
) -> None:
    """And no connection is left half made: as soon as the file is right, everything is."""
    async with opened(url) as store:
        shared = store.shared_state(PROFILE)
        await granted(shared)
        for spoil in (
            password_file.unlink,
            lambda: password_file.write_text(" \n"),
            lambda: password_file.write_bytes(b"\xff"),
        ):
            spoil()
            await close_connections(own_redis_server)
            assert await cause_of(shared) == "PasswordFileError"
            put(password_file, b"canary-one\r\n")
            await shared.peek(0)


async def test_a_password_of_the_default_user_needs_no_name(own_redis_server: RedisServer, password_file: Path) -> None:
    own_redis_server.command("CONFIG", "SET", "requirepass", "canary-one")
    async with opened(f"redis://127.0.0.1:{own_redis_server.port}?password_file={password_file}") as store:
        await granted(store.shared_state(PROFILE))


async def test_while_the_file_hangs_new_connections_say_the_password_of_before(
    own_redis_server: RedisServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldReading[str]("canary-one")
    monkeypatch.setattr(password_file_module, "read_secret", lambda _: held())
    async with opened(url, 2 * HANG_S) as store:
        shared = store.shared_state(PROFILE)
        await granted(shared)
        monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)
        held.answers.clear()
        try:
            for _ in range(2):
                await close_connections(own_redis_server)
                await shared.peek(0)
            assert held.calls == 2
        finally:
            held.answers.set()


async def test_a_caller_that_goes_away_while_the_file_is_read_leaves_no_connection_that_never_said_who_it_is(
    own_redis_server: RedisServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldReading[str]("canary-one")
    monkeypatch.setattr(password_file_module, "read_secret", lambda _: held())
    held.answers.clear()
    async with opened(url, HANG_S) as store:
        shared = store.shared_state(PROFILE)
        asked = asyncio.create_task(shared.peek(0))
        await asyncio.to_thread(held.entered.acquire)
        asked.cancel()
        held.answers.set()
        await shared.peek(0)
        assert held.calls == 1
