"""Seal keys rotate while sidecars run, and one sidecar lacks the key of the others."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.model import Operation
from tests.servers import RedisServer
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.replica import Replica, until

OLD = f"old:{base64.b64encode(bytes([1]) * 32).decode()}\n"
NEW = f"new:{base64.b64encode(bytes([2]) * 32).decode()}\n"


@pytest.fixture
async def fleet(tmp_path: Path, own_redis_server: RedisServer) -> AsyncIterator[Fleet]:
    """The partner ends a token when it issues the next one."""
    async with open_fleet(tmp_path, own_redis_server, replace(CONFIG, revoke_previous=True)) as opened:
        (opened.folder / "seal-key").write_text(OLD)
        yield opened


async def use(fleet: Fleet, keys: str) -> None:
    """Change the key file, and wait until each replica has logged that it read it."""

    def changes() -> list[int]:
        return [len(replica.events("seal_keys_changed")) for replica in fleet.replicas]

    expected = [count + 1 for count in changes()]
    (fleet.folder / "seal-key").write_text(keys)
    await until(lambda: changes() == expected)


async def rotate(fleet: Fleet, reporter: Replica) -> None:
    """Cause one more partner call, and wait until all replicas hold its token."""
    issued = len(fleet.issued)
    assert await reporter.report((await reporter.ask()).token_id) == "refreshing"
    await until(lambda: len(fleet.issued) > issued)
    await until(fleet.agree_on_the_newest)


async def test_keys_rotate_as_the_guide_says_without_a_gap(fleet: Fleet) -> None:
    first, second = await fleet.ready(2)
    for number, keys in enumerate((OLD + NEW, NEW + OLD, NEW), start=1):
        await use(fleet, keys)
        await rotate(fleet, (first, second)[number % 2])
        assert len(fleet.calls) == 1 + number
    for replica in (first, second):
        assert replica.events("stored_value_discarded") == []
        assert await replica.metric("stored_token_unreadable") == 0


async def test_a_replica_that_lacks_the_key_reports_it_and_replaces_a_rejected_token(fleet: Fleet) -> None:
    (lacking,) = await fleet.ready(1, TOKEN_LIFETIME_S="100", REFRESH_AT="0.7")
    held = (await lacking.ask()).token_id
    more = fleet.folder / "more-keys"
    more.write_text(NEW + OLD)
    # It replaces the token at a tenth of its lifetime, which uses up the refresh token.
    (other,) = await fleet.ready(1, SEAL_KEY_FILE=str(more), REFRESH_AT="0.1")
    await until(lambda: len(fleet.calls) > 1)

    async def is_unreadable() -> bool:
        return await lacking.metric("stored_token_unreadable") == 1

    await until(is_unreadable)
    assert (await lacking.status())["storedTokenUnreadable"] is True
    assert "cannot be decrypted here" in (await lacking.admin("/status")).text
    assert (await lacking.ask()).token_id == held
    other.kill()
    fleet.replicas.remove(other)
    calls = len(fleet.calls)

    assert await lacking.report(held) in ("refreshing", "later")

    async def has_another() -> bool:
        answer = await lacking.ask()
        return answer.status == 200 and answer.token_id != held

    await until(has_another)
    assert await lacking.report(held) == "already-replaced"
    assert [(call.operation, call.status) for call in fleet.calls[calls:]] == [(Operation.GRANT, 200)]
