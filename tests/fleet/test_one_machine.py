"""Processes of one machine that share a file instead of Redis: crash loops, a cold start, a lost holder, secrets."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sidecar.core.model import Secret
from sidecar.sandbox.faults import Fault
from sidecar.stores.documents import Coordination, Lease
from tests.servers import RedisServer
from tests.support.output_recorder import found
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.replica import Answer, Replica, until
from tests.support.stored_coordination import coordination_in_file

CALLERS = 400
FILE = "token-sidecar.db"
KEY, SECRET, TOKEN_MARK = "kanary-api-key-1fe2", "kanary-api-secret-2fe3", "kanary-token-3fe4-"
CALL_S, STORE_TIMEOUT_S = 4, 2
SHORT = {"PARTNER_TIMEOUT_S": str(CALL_S), "STORE_TIMEOUT_S": str(STORE_TIMEOUT_S), "POLL_S": "0.3"}
"""Times for a short lease. A process that is killed during its call has to be killed within `CALL_S`."""
LEASE_MS = 1000 * (CALL_S + 2 * STORE_TIMEOUT_S + 1)


@pytest.fixture
async def node(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Fleet]:
    """The replicas use a file; the Redis must stay empty."""
    (tmp_path / "state").mkdir()
    config = replace(CONFIG, api_key=Secret(KEY), api_secret=Secret(SECRET), token_mark=TOKEN_MARK)
    async with open_fleet(tmp_path, redis_server, config) as fleet:
        fleet.settings["SIDECAR_STORE"] = f"sqlite://{tmp_path}/state/{FILE}"
        # If a busy machine makes the file time out, no process may call with its own share.
        fleet.settings["SIDECAR_STORE_FAILURE"] = "fail"
        fleet.mount(KEY, SECRET)
        yield fleet
    assert not redis_server.command("KEYS", "*")


async def crash(node: Fleet, replica: Replica) -> None:
    node.replicas.remove(replica)
    replica.kill()


async def test_a_crash_loop_in_mid_call_spends_the_budget_and_no_more(node: Fleet) -> None:
    """The partner never answers. Without a store each of the five replicas would call."""
    node.partner_clock.free.clear()
    settings = {**SHORT, "CALL_BUDGET": "2/300"}
    leases = []
    for calls in (1, 2):
        replica = (await node.start(1, **settings))[0]
        await until(lambda: len(node.calls) == calls)  # noqa: B023 - awaited in this round
        await crash(node, replica)
        leases.append(lease_of_the_killed(node))
    for _ in range(3):
        replica = (await node.start(1, **settings))[0]
        await until_code(replica, "call-budget-exhausted")
        await crash(node, replica)

    assert len(node.calls) == 2
    assert leases[1].from_ms >= leases[0].until_ms, "the second call had to wait for the end of the first lease"


async def test_a_crash_loop_with_a_token_in_the_file_costs_no_call_and_shows_no_secret(node: Fleet) -> None:
    """Killed five times, with a rotation in between."""
    state = node.folder / "state"
    token_ids, files = [], []
    for life in range(7):
        replica = (await node.ready(1))[0]
        token_ids.append((await replica.ask()).token_id)
        if life == 3:
            await replica.report(token_ids[-1])
        await until(lambda: has_token(state))  # it is vended first, and stored then
        files.append(everything_in(state))
        if life in (3, 6):
            # The stop waits for an open call, and its token is stored.
            await until(lambda: len(node.calls) == 2)
            await node.stop(replica)
        else:
            await crash(node, replica)
    files.append(everything_in(state))

    assert [call.status for call in node.calls] == [200, 200]
    assert token_ids == [token_ids[0]] * 4 + [token_ids[-1]] * 3
    assert token_ids[0] != token_ids[-1]
    assert all(each.keys() - {f"{FILE}-journal"} == {FILE} for each in files)
    assert files[-1].keys() == {FILE}
    refreshes = [issued.refresh for account in node.sandbox.state.accounts.values() if (issued := account.last)]
    assert refreshes
    for each in files:
        assert any(b"pay1st-" in content for content in each.values()), "the state exists"
        for content in each.values():
            assert not found([KEY, SECRET, TOKEN_MARK, *refreshes], content.decode("latin-1"))


async def test_a_cool_down_outlives_the_process_that_got_the_429(node: Fleet) -> None:
    cooldown_s = 8
    node.sandbox.state.faults.add(Fault(fault="status", status=429, retry_after=str(cooldown_s)))
    throttled = (await node.start(1, **SHORT))[0]
    await until(lambda: len(node.calls) == 1)
    await until_code(throttled, "partner-cooling-down")
    await crash(node, throttled)
    successor = (await node.start(1, **SHORT))[0]
    refused = await successor.ask()
    if node.now < node.calls[0].at_monotonic + cooldown_s:  # on a busy machine it may have ended
        assert (refused.code, refused.body["partner"]["status"]) == ("partner-cooling-down", 429)

    await until(successor.ready)
    assert [call.status for call in node.calls] == [429, 200]
    # The call comes before the cool-down begins, so a delay only makes this longer.
    assert node.gaps_s[0] > cooldown_s - 0.01


async def test_hundreds_of_cold_callers_at_four_processes_cost_one_call(node: Fleet) -> None:
    """All of them wait before the partner answers."""
    node.partner_clock.free.clear()
    replicas = await node.start(4, PARTNER_TIMEOUT_S="30", REQUEST_TIMEOUT_S="30", POLL_S="0.3")
    asking = asyncio.gather(*(replicas[number % 4].ask() for number in range(CALLERS)))

    async def all_wait() -> bool:
        return bool(sum([(await replica.status())["waiters"] for replica in replicas]) == CALLERS)

    await until(all_wait)
    node.partner_clock.free.set()
    answers = await asking

    assert len({answer.token_id for answer in answers}) == 1
    assert not any("suspect" in answer.body for answer in answers)
    assert [(call.operation, call.status) for call in node.calls] == [("grant", 200)]


async def test_a_holder_of_four_killed_in_mid_call_costs_one_more_call_after_its_lease(node: Fleet) -> None:
    node.partner_clock.free.clear()
    four = await node.start(4, **SHORT, REQUEST_TIMEOUT_S="30", CALL_BUDGET="6/300")
    await until(lambda: len(node.calls) == 1)
    (holder,) = [replica for replica in four if connected(replica, urlsplit(node.partner_url).port)]
    await crash(node, holder)
    lease = lease_of_the_killed(node)
    node.partner_clock.free.set()
    answers = await asyncio.gather(*(replica.ask() for replica in node.replicas for _ in range(30)))

    assert len({answer.token_id for answer in answers}) == 1
    assert len(node.calls) == 2
    first, second = stored_coordination(node).grants
    assert first.fence == lease.fence
    assert second.at_ms >= lease.until_ms, "no process may call before the lease of the killed one ends"


async def test_files_removed_under_running_processes_cost_no_call(node: Fleet) -> None:
    """Both seed one new file, and a later process adopts the token from it."""
    state = node.folder / "state"
    first, second = await node.ready(2, **SHORT)
    token_id = (await first.ask()).token_id
    for path in state.iterdir():
        path.unlink()

    await until(lambda: has_token(state))
    late = (await node.ready(1, **SHORT))[0]
    assert {(await replica.ask()).token_id for replica in (first, second, late)} == {token_id}
    assert len(node.calls) == 1
    assert not second.events("internal_failure")


def stored_coordination(node: Fleet) -> Coordination:
    coordination = coordination_in_file(node.folder / "state" / FILE)
    assert coordination is not None
    return coordination


def lease_of_the_killed(node: Fleet) -> Lease:
    """Return the lease in the file. Its times are of the store, so delays of processes do not change them."""
    lease = stored_coordination(node).lease
    assert lease is not None, "the call was over before its process was killed"
    assert lease.until_ms - lease.from_ms == LEASE_MS
    return lease


async def until_code(replica: Replica, code: str) -> Answer:
    """Wait for a response with this code, and return it."""
    seen: list[Answer] = []

    async def matches() -> bool:
        seen.append(await replica.ask())
        return seen[-1].code == code

    await until(matches)
    return seen[-1]


def connected(replica: Replica, port: int | None) -> bool:
    """Return whether the process has a connection to this port."""
    handles = Path(f"/proc/{replica.process.pid}/fd").iterdir()
    sockets = {str(handle.readlink()) for handle in handles if handle.is_symlink()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[2].endswith(f":{port:04X}") and f"socket:[{row[9]}]" in sockets for row in rows)


def has_token(folder: Path) -> bool:
    """Return whether a token is committed. While there is a journal, it may be rolled back."""
    has_one = any(b":token" in content for content in everything_in(folder).values())
    return has_one and not (folder / f"{FILE}-journal").exists()


def everything_in(folder: Path) -> dict[str, bytes]:
    found_now: dict[str, bytes] = {}
    for path in folder.iterdir():
        # A journal is gone when its transaction ends.
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
            found_now[path.name] = file.read()
    return found_now
