"""Every limit of a listener through real sockets: what a caller beyond it sees, and what is told of it."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from sidecar.core.listener_limits import Limits
from sidecar.core.process_events import LimitHit, MalformedRequest
from sidecar.web.responses import Response, make_response
from sidecar.web.server.connection_registry import MAX_TURNED_AWAY
from tests.support.replica import HANG_S, until
from tests.support.room import GET, HEAD, room
from tests.support.vending_service import vending_service
from tests.support.wire import parse


async def test_past_the_limit_the_one_that_never_asked_and_came_first_makes_room() -> None:
    async with room(Limits(max_connections=3)) as here:
        asked = await here.caller()
        await asked.ask()
        first, second = await here.caller(), await here.caller()
        await here.has(3)
        newcomer = await here.caller()
        assert await first.end() == b""
        for caller in (asked, second, newcomer):
            assert (await caller.ask()).status == 200
        assert here.hit == ["connections"]


async def test_of_those_that_asked_the_one_silent_longest_makes_room() -> None:
    async with room(Limits(max_connections=2)) as here:
        first, second = await here.caller(), await here.caller()
        for caller in (first, second, first):
            await caller.ask()
        newcomer = await here.caller()
        assert await second.end() == b""
        assert (await newcomer.ask()).status == (await first.ask()).status == 200


async def test_a_head_that_is_under_way_keeps_nobody_out() -> None:
    async with room(Limits(max_connections=1)) as here:
        slow = await here.caller()
        slow.writer.write(HEAD)
        await here.has(1)
        newcomer = await here.caller()
        assert (await newcomer.ask()).status == 200
        assert await slow.end() == b""


async def test_where_all_await_a_response_the_newcomer_is_told_to_come_again() -> None:
    async with room(Limits(max_connections=1)) as here:
        here.free.clear()
        busy = await here.caller()
        answered = asyncio.create_task(busy.ask())
        await here.has(1)
        await here.asked.wait()
        newcomer = await here.caller()
        newcomer.writer.write(GET)
        reply = parse(await newcomer.end())
        assert (reply.status, reply.code, reply.header("Retry-After")) == (503, "overloaded", "1")
        assert reply.header("Cache-Control") == "no-store"
        here.free.set()
        assert (await answered).status == 200


async def test_the_limit_holds_however_many_come_and_each_is_told() -> None:
    """Files are few: those that wait to be told are held to a number, too."""
    async with room(Limits(max_connections=1)) as here:
        here.free.clear()
        busy = await here.caller()
        answered = asyncio.create_task(busy.ask())
        await here.asked.wait()
        newcomers = [await here.caller() for _ in range(MAX_TURNED_AWAY + 3)]
        for newcomer in newcomers[:3]:
            reply = parse(await newcomer.end())
            assert (reply.status, reply.code) == (503, "overloaded")
        await here.has(1 + MAX_TURNED_AWAY)
        for newcomer in newcomers[3:]:
            newcomer.writer.write(GET)
            assert parse(await newcomer.end()).status == 503
        await here.has(1)
        here.free.set()
        assert (await answered).status == 200
        assert set(here.hit) == {"connections"}


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("beyond", [0, 1])
async def test_a_head_may_have_as_many_bytes_as_the_limit_says(beyond: int, pieces: int) -> None:
    limits = Limits(max_header_bytes=2048)
    padding = limits.max_header_bytes - len(HEAD + b"X: \r\n" + b"Y: \r\n\r\n") + 2 + beyond
    head = HEAD + b"X: " + b"x" * 1000 + b"\r\nY: " + b"y" * (padding - 1000) + b"\r\n\r\n"
    async with room(limits) as here:
        caller = await here.caller()
        size = len(head) // pieces + 1
        for at in range(0, len(head), size):
            caller.writer.write(head[at : at + size])
            await caller.writer.drain()
            await asyncio.sleep(0.001 if pieces > 1 else 0)
        if beyond:
            reply = parse(await caller.end())
            assert (reply.status, reply.code) == (431, "bad-request")
            assert here.hit == ["header-bytes"]
            assert [event.cause for event in here.sink.of(MalformedRequest)] == ["HeadTooLargeError"]
        else:
            assert parse(await caller.reader.readuntil(b"hello")).status == 200
            assert here.hit == []


async def test_a_body_is_no_part_of_a_head() -> None:
    began = asyncio.Event()

    async def read(request: web.BaseRequest) -> Response:
        began.set()
        body = b"".join([part async for part in request.content.iter_any()])
        return make_response(200, b"%d hello" % len(body), content_type="text/plain")

    async with room(Limits(max_header_bytes=1024), read) as here:
        caller = await here.caller()
        for _ in range(2):
            caller.writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n")
            await began.wait()
            began.clear()
            assert (await caller.ask(b"x" * 5000)).body == b"5000 hello"
        assert here.hit == []


async def test_requests_sent_ahead_are_all_answered_and_the_rest_is_left_unread_meanwhile() -> None:
    async with room(Limits(max_pipelined=4)) as here:
        here.free.clear()
        caller = await here.caller()
        count = 200_000
        caller.writer.write(GET * count)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.writer.drain(), 0.5)
        await until(lambda: here.hit == ["pipelined"])
        here.free.set()
        async with asyncio.timeout(HANG_S):
            for _ in range(100):
                await caller.reader.readuntil(b"hello")


@pytest.mark.parametrize("sent", [b"", HEAD], ids=["nothing", "half-a-head"])
async def test_who_is_slow_to_ask_is_cut_off(sent: bytes) -> None:
    async with room(Limits(header_timeout_s=0.2)) as here:
        caller = await here.caller()
        caller.writer.write(sent)
        assert await caller.end() == b""
        assert here.hit == ["slow-headers"]


async def test_bytes_that_drip_do_not_lengthen_the_time_for_a_head() -> None:
    async with room(Limits(header_timeout_s=1)) as here:
        caller = await here.caller()
        await caller.ask()
        caller.writer.write(HEAD + b"X: ")
        ended = asyncio.create_task(caller.end())
        drops = 0
        while not ended.done() and drops < 100:
            drops += 1
            caller.writer.write(b"x")
            await asyncio.wait({ended}, timeout=0.05)
        assert await ended == b""
        assert here.hit == ["slow-headers"]


async def test_a_connection_that_rests_between_two_requests_is_not_slow() -> None:
    async with room(Limits(header_timeout_s=1)) as here:
        caller = await here.caller()
        await caller.ask()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.reader.read(1), 1.5)
        assert (await caller.ask()).status == 200


async def test_who_does_not_read_its_answer_is_cut_off() -> None:
    asked = asyncio.Event()

    async def much(request: web.BaseRequest) -> Response:
        asked.set()
        return make_response(200, b"x" * 20_000_000, content_type="text/plain")

    async with room(Limits(write_timeout_s=0.2), much) as here:
        caller = await here.caller()
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typed as a write transport
        caller.writer.write(GET)
        await asked.wait()
        await here.has(0)
        assert here.hit == ["slow-reader"]


async def test_a_slow_body_is_told() -> None:
    async with vending_service(limits=Limits(body_timeout_s=0.1)) as service:
        reply = await service.post(
            "/v1/token/rejected", b"", {"Content-Length": "5", "Content-Type": "application/json"}
        )
        assert (reply.status, reply.code) == (400, "bad-request")
        assert [event.limit for event in service.sink.of(LimitHit)] == ["slow-body"]
