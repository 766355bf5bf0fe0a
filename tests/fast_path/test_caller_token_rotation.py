"""A whole service whose caller tokens are rotated: the fast path accepts only caller tokens in the file."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sidecar.core.model import Address
from sidecar.web.server.fast_path import CachedResponse, Connection, FastPath
from tests.schema.whole_service import WholeService, whole_service
from tests.support.replica import HANG_S, until
from tests.support.wire import PLAIN, parse

OLD, NEW = "caller-token-before", "caller-token-after"
TIMES = 4
"""The number of requests with each caller token: two on the long way, and the others from the fast path."""
TRANSPORTS = pytest.mark.parametrize("transport", ["tcp", "unix"])


class Client:
    """A client with one persistent connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def status(self, caller_token: str) -> int:
        self.writer.write(PLAIN.replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {caller_token}\r\n\r\n".encode()))
        async with asyncio.timeout(HANG_S):
            reply = parse(await self._reader.readuntil(b"\r\n\r\n"))
            await self._reader.readexactly(int(reply.header("Content-Length") or 0))
        return reply.status

    async def statuses(self, caller_token: str) -> list[int]:
        return [await self.status(caller_token) for _ in range(TIMES)]


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Client]:
    opened = (
        asyncio.open_unix_connection(address.path)
        if address.path
        else asyncio.open_connection(address.host, address.port)
    )
    client = Client(*await opened)
    try:
        yield client
    finally:
        client.writer.close()
        await client.writer.wait_closed()


@pytest.fixture
def fast_responses(monkeypatch: pytest.MonkeyPatch) -> list[CachedResponse]:
    """Return the number of responses of the fast path so far."""
    given, find = list[CachedResponse](), FastPath.find

    def observed(self: FastPath, segment: bytes, connection: Connection) -> CachedResponse | None:
        found = find(self, segment, connection)
        if found is not None:
            given.append(found)
        return found

    monkeypatch.setattr(FastPath, "find", observed)
    return given


def audited(service: WholeService) -> Sequence[dict[str, object]]:
    """Return the lines of the audit, without the time and the client's port."""
    lines = [json.loads(line) for line in service.log.getvalue().splitlines()]
    found = [line for line in lines if line["event"] == "audit"]
    for line in found:
        del line["timestamp"]
        if not line["caller"].startswith("uid:"):
            line["caller"] = line["caller"].rpartition(":")[0]
    return found


@asynccontextmanager
async def serving(file: Path, transport: str) -> AsyncIterator[tuple[WholeService, Address]]:
    """Run a service that audits everything; yield its address on that transport."""
    socket = file.parent / "s"
    async with whole_service(CALLER_TOKEN_FILE=str(file), AUDIT="all", LISTEN=f"127.0.0.1:0,unix:{socket}") as service:
        tcp = urlsplit(service.vending)
        yield service, Address(path=str(socket)) if transport == "unix" else Address(str(tcp.hostname), tcp.port or 0)


@TRANSPORTS
async def test_a_caller_token_that_was_removed_is_refused_on_a_connection_that_was_answered_fast(
    tmp_path: Path, transport: str, fast_responses: list[CachedResponse]
) -> None:
    file = tmp_path / "caller-tokens"
    file.write_text(f"{OLD}\n{NEW}\n")
    async with serving(file, transport) as (_, address), connected(address) as client, connected(address) as other:
        for caller_token in (OLD, NEW):
            assert await client.statuses(caller_token) == [200] * TIMES
        assert len(fast_responses) == 2 * (TIMES - 2)
        file.write_text(f"{NEW}\n")

        async def is_refused() -> bool:
            return await client.status(OLD) == 401

        await until(is_refused)
        known = len(fast_responses)
        for each in (client, other):
            assert await each.statuses(OLD) == [401] * TIMES
        assert len(fast_responses) == known
        assert await client.statuses(NEW) == [200] * TIMES
        assert len(fast_responses) == known + TIMES - 2, "stored again, under the caller tokens that are in force"


@TRANSPORTS
async def test_a_line_of_the_audit_from_the_fast_path_equals_that_of_the_long_way(
    tmp_path: Path, transport: str, fast_responses: list[CachedResponse]
) -> None:
    file = tmp_path / "caller-tokens"
    file.write_text(OLD)
    async with serving(file, transport) as (service, address), connected(address) as client:
        assert await client.statuses(OLD) == [200] * TIMES
        assert len(fast_responses) == TIMES - 2
        await until(lambda: len(audited(service)) == TIMES)
        first, *others = audited(service)
        assert others == [first] * len(others)
        assert first["caller"] == ("127.0.0.1" if transport == "tcp" else f"uid:{os.getuid()}")
        assert (first["profile"], first["endpoint"], first["outcome"]) == ("default", "token", "ok")
        assert len(str(first["token_id"])) == 32
        assert OLD not in service.log.getvalue()
