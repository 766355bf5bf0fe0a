"""Each fault of the proxy has its effect; otherwise tests that use it would prove nothing."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.servers import free_port
from tests.support.fault_proxy import HOST, FaultProxy, ProxiedConnection, fault_proxy
from tests.support.replica import HANG_S, until
from tests.support.spoiled_way import CLEAN, SILENT, Way

LINE = b"0123456789abcdef\n"
SILENCE_S = 0.15
"""How long nothing is received before that counts as silence; on loopback a reply takes a millisecond."""


@dataclass
class Echo:
    """A server that sends every line back, and keeps it."""

    heard: list[bytes] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    async def client(self, proxy: FaultProxy) -> Client:
        self.clients.append(Client(*await asyncio.open_connection(HOST, proxy.port)))
        return self.clients[-1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.heard.append(line)
                writer.write(line)
            self.ends.append("end")
        except ConnectionError:
            self.ends.append("reset")
        finally:
            writer.close()


@asynccontextmanager
async def echoed() -> AsyncIterator[tuple[Echo, FaultProxy]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, HOST, 0)
    async with server, fault_proxy(server.sockets[0].getsockname()[1]) as proxy:
        try:
            yield echo, proxy
        finally:
            for client in echo.clients:
                client.writer.close()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def say(self) -> None:
        self.writer.write(LINE)

    async def answer(self) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(len(LINE)), HANG_S)

    async def is_silent(self) -> bool:
        """Check that nothing is received, and that the connection stays open."""
        try:
            await asyncio.wait_for(self.reader.read(1), SILENCE_S)
        except TimeoutError:
            return True
        return False


async def test_a_clean_way_passes_everything_and_the_end() -> None:
    async with echoed() as (echo, proxy):
        client = await echo.client(proxy)
        client.say()
        assert await client.answer() == LINE
        client.writer.write_eof()
        assert await asyncio.wait_for(client.reader.read(), HANG_S) == b""
        assert (echo.heard, echo.ends, proxy.accepted) == ([LINE], ["end"], 1)
        await until(lambda: not proxy.connections)


async def test_latency_takes_its_time_in_each_direction() -> None:
    async with echoed() as (echo, proxy):
        client = await echo.client(proxy)
        proxy.requests, proxy.replies = Way(delay_s=0.1), Way(delay_s=0.05, jitter_s=0.05)
        began = time.monotonic()
        client.say()
        assert await client.answer() == LINE
        assert time.monotonic() - began >= 0.15


async def test_slices_arrive_one_by_one() -> None:
    async with echoed() as (echo, proxy):
        client = await echo.client(proxy)
        proxy.replies = Way(slice_bytes=3, delay_s=0.005)
        client.say()
        pieces: list[bytes] = []
        while b"".join(pieces) != LINE:
            pieces.append(await asyncio.wait_for(client.reader.read(100), HANG_S))
        assert len(pieces) > 3


async def test_a_reset_of_requests_reaches_the_server_as_nothing() -> None:
    async with echoed() as (echo, proxy):
        client = await echo.client(proxy)
        proxy.requests = Way(reset_after_bytes=0)
        client.say()
        with pytest.raises(ConnectionResetError):
            await client.answer()
        await until(lambda: echo.ends == ["reset"])
        assert echo.heard == []


@pytest.mark.parametrize("allowed", [0, 5])
async def test_a_reset_of_replies_loses_the_answer_to_what_was_done(allowed: int) -> None:
    async with echoed() as (echo, proxy):
        client = await echo.client(proxy)
        client.say()
        assert await client.answer() == LINE
        proxy.replies = Way(reset_after_bytes=allowed)
        client.say()
        # Data received before the reset is read first.
        if allowed:
            assert await client.reader.readexactly(allowed) == LINE[:allowed]
        with pytest.raises(ConnectionResetError):
            await client.answer()
        assert echo.heard == [LINE, LINE]


async def test_one_request_can_be_picked_to_lose_its_answer() -> None:
    async with echoed() as (echo, proxy):
        first, second = await echo.client(proxy), await echo.client(proxy)

        def once(connection: ProxiedConnection, _chunk: bytes) -> None:
            connection.replies = Way(reset_after_bytes=0)
            proxy.watch = lambda *_: None

        proxy.watch = once
        first.say()
        with pytest.raises(ConnectionResetError):
            await first.answer()
        second.say()
        assert await second.answer() == LINE
        assert echo.heard == [LINE, LINE]


async def test_everybody_is_reset_at_once() -> None:
    async with echoed() as (echo, proxy):
        client = await echo.client(proxy)
        await until(lambda: len(proxy.connections) == 1)
        client.say()
        await client.answer()
        proxy.reset_all()
        with pytest.raises(ConnectionResetError):
            await client.answer()
        await until(lambda: echo.ends == ["reset"])


async def test_a_black_hole_takes_everything_and_gives_it_back_late() -> None:
    async with echoed() as (echo, proxy):
        proxy.spoil(SILENT)
        client = await echo.client(proxy)
        client.say()
        assert await client.is_silent()
        assert echo.heard == []
        await proxy.heal()
        assert await client.answer() == LINE


async def test_a_black_hole_for_replies_lets_requests_through() -> None:
    async with echoed() as (echo, proxy):
        proxy.replies = SILENT
        client = await echo.client(proxy)
        client.say()
        assert await client.is_silent()
        assert echo.heard == [LINE]
        proxy.replies = CLEAN
        assert await client.answer() == LINE


async def test_a_half_open_connection_is_silent_for_ever_and_a_new_one_works() -> None:
    async with echoed() as (echo, proxy):
        client = await echo.client(proxy)
        client.say()
        await client.answer()
        proxy.vanish()
        await until(lambda: echo.ends == ["reset"])
        client.say()
        assert await client.is_silent()
        newcomer = await echo.client(proxy)
        newcomer.say()
        assert await newcomer.answer() == LINE
        client.writer.close()
        await until(lambda: len(proxy.connections) == 1)


async def test_a_refusal_ends_who_is_there_and_turns_away_who_comes_until_it_is_over() -> None:
    async with echoed() as (echo, proxy):
        client = await echo.client(proxy)
        client.say()
        await client.answer()
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            await client.answer()
        with pytest.raises(ConnectionRefusedError):
            await echo.client(proxy)
        await proxy.heal()
        newcomer = await echo.client(proxy)
        newcomer.say()
        assert await newcomer.answer() == LINE


async def test_while_it_refuses_no_other_server_is_given_its_port() -> None:
    async with echoed() as (_, proxy):
        proxy.refuse()
        with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
            other.bind(("127.0.0.1", proxy.port))
        await proxy.heal()


async def test_at_the_end_a_connection_is_reset_however_far_it_was_accepted() -> None:
    for turns in range(8):
        async with fault_proxy(free_port()) as proxy:
            client = socket.create_connection((HOST, proxy.port))
            for _ in range(turns):
                await asyncio.sleep(0)
        client.settimeout(HANG_S)
        with client, pytest.raises(ConnectionResetError):
            client.recv(1)
