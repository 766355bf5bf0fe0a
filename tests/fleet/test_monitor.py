"""`MONITOR` of Redis shows no secret, whatever a sidecar does."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.model import Secret
from sidecar.sandbox.faults import Fault
from tests.servers import RedisServer
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.replica import Replica, until
from tests.support.secret_encodings import encodings

KEY, SECRET = "kanary-api-key-31aa", "kanary-api-secret-52bb"
SEAL = b"kanary-seal-key-of-32-bytes-73cc"
PASSWORD, TOKEN_MARK = "kanary-store-password-94dd", "kanary-token-b5ee-"
SETTINGS = {"POLL_S": "0.1", "CALL_BUDGET": "100/60", "COOLDOWN_S": "0.2"}
SCRIPT = re.compile(r'"EVALSHA" "([0-9a-f]{40})"')
OPERATIONS = ("claim", "commit", "fail", "peek", "reject", "seed")
"""One entry for each script; all of them have to be seen."""


class Watch:
    """The output of `MONITOR`."""

    def __init__(self) -> None:
        self.seen = bytearray()


@contextlib.asynccontextmanager
async def watching(redis: RedisServer, password: str) -> AsyncIterator[Watch]:
    watch = Watch()
    reader, writer = await asyncio.open_connection("127.0.0.1", redis.port)
    writer.write(f"AUTH {password}\r\nMONITOR\r\n".encode())
    assert await reader.readexactly(10) == b"+OK\r\n+OK\r\n"

    async def listen() -> None:
        while some := await reader.read(1 << 16):
            watch.seen += some

    listening = asyncio.create_task(listen())
    try:
        yield watch
    finally:
        writer.close()
        await listening


@pytest.fixture
async def fleet(tmp_path: Path, own_redis_server: RedisServer) -> AsyncIterator[Fleet]:
    config = replace(CONFIG, api_key=Secret(KEY), api_secret=Secret(SECRET), token_mark=TOKEN_MARK)
    own_redis_server.command("CONFIG", "SET", "requirepass", PASSWORD)
    async with open_fleet(tmp_path, own_redis_server, config) as opened:
        (tmp_path / "seal-key").write_bytes(base64.b64encode(SEAL))
        opened.mount(KEY, SECRET)
        opened.settings["SIDECAR_STORE"] = own_redis_server.url.replace("://", f"://:{PASSWORD}@")
        yield opened


async def all_operations(fleet: Fleet, replica: Replica) -> list[str]:
    """Claim, commit, peek, reject, fail, lose all data and seed it; return the tokens."""
    tokens = [(await replica.ask()).body["accessToken"]]
    for _ in range(2):
        fleet.sandbox.state.faults.add(Fault(fault="status", status=429, retry_after="1"))
        assert await replica.report((await replica.ask()).token_id) in ("refreshing", "later")
        await until(lambda: any(call.status == 429 for call in fleet.calls))

        async def replaced() -> bool:
            answer = await replica.ask()
            return answer.status == 200 and answer.body["accessToken"] not in tokens and "suspect" not in answer.body

        await until(replaced)
        tokens.append((await replica.ask()).body["accessToken"])
    fleet.redis.command("FLUSHALL")
    await until(lambda: bool(replica.events("store_data_lost")))
    return tokens


async def test_monitor_shows_no_secret(fleet: Fleet) -> None:
    async with watching(fleet.redis, PASSWORD) as watch:
        (replica,) = await fleet.ready(1, **SETTINGS)
        tokens = await all_operations(fleet, replica)
        refresh = [account.last.refresh for account in fleet.sandbox.state.accounts.values() if account.last]
        await fleet.stop(replica)
    # Quotes and slashes are escaped, some twice.
    seen = watch.seen.decode("latin-1").replace("\\", "")
    secrets = [KEY, SECRET, SEAL.decode(), base64.b64encode(SEAL).decode(), PASSWORD, *tokens, *refresh]
    assert len(set(SCRIPT.findall(seen))) == len(OPERATIONS)
    assert '"AUTH" "(redacted)"' in seen  # Redis writes this itself
    assert [secret for secret in secrets if any(form in seen for form in encodings(secret))] == []


async def test_monitor_shows_tokens_that_are_not_sealed(fleet: Fleet) -> None:
    """Show that the test above can fail."""
    del fleet.settings["SIDECAR_SEAL_KEY_FILE"]
    async with watching(fleet.redis, PASSWORD) as watch:
        (replica,) = await fleet.ready(1, SEAL="off", **SETTINGS)
        token = (await replica.ask()).body["accessToken"]
        await fleet.stop(replica)
    assert any(form in watch.seen.decode("latin-1").replace("\\", "") for form in encodings(token))
