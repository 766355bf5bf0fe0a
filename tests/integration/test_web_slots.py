"""Who gets a slot of a listener where all are taken, and who has to give one up, through real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from sidecar.core.listener_limits import Limits
from sidecar.core.model import Address, Secret
from sidecar.core.process_events import LimitHit
from sidecar.credentials.caller_token import CallerTokens
from sidecar.web.api.guards import GuardSettings
from sidecar.web.responses import Response, make_response
from tests.schema.whole_service import whole_service
from tests.support.replica import HANG_S
from tests.support.room import HEAD, Caller, Room, room
from tests.support.vending_service import VendingService, vending_service
from tests.support.wire import PLAIN, Reply, parse

LOCKED = GuardSettings(caller_tokens=lambda: CallerTokens([Secret("caller-token-canary")]))
EIGHT = Limits(max_connections=8, header_timeout_s=600, body_timeout_s=600, write_timeout_s=600)
QUARTER = 2
FORM = b"grant_type=client_credentials&client_secret=caller-token-canary"
REPORT = b'{"accessToken": "x"}'
POLL = PLAIN.replace(b"/v1/token", b"/v1/token?wait=60").replace(b"\r\n\r\n", b"\r\nIf-None-Match: *\r\n\r\n")


def head(path: str, media_type: str, length: int, *fields: str) -> bytes:
    """Of a request whose body is still to come."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {media_type}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *fields, "", ""]).encode()


GRANT = head("/oauth/token", "application/x-www-form-urlencoded", len(FORM))
TELL = head("/v1/token/rejected", "application/json", len(REPORT), "Sidecar-Request: true")
BODIES = [(LOCKED, GRANT, FORM), (GuardSettings(), TELL, REPORT)]


class Connect:
    """Opens connections, and sends the first bytes on them."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []

    async def __call__(self, address: Address, sent: bytes = b"") -> Caller:
        caller = Caller(*await asyncio.open_connection(address.host, address.port))
        self.callers.append(caller)
        caller.writer.write(sent)
        return caller


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    opened = Connect()
    yield opened
    for caller in opened.callers:
        caller.writer.transport.abort()


async def reply_to(caller: Caller, sent: bytes = b"") -> Reply:
    """The whole response, on a connection that may go on."""
    caller.writer.write(sent)
    first = await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), HANG_S)
    length = parse(first).header("Content-Length") or "0"
    return parse(first + await asyncio.wait_for(caller.reader.readexactly(int(length)), HANG_S))


async def waiting_for_bodies(connect: Connect, service: VendingService, sent: bytes, count: int) -> list[Caller]:
    """Callers that have sent their heads: the listener says `100 Continue` once it waits for the rest."""
    callers = []
    for _ in range(count):
        caller = await connect(service.address, sent.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert (await reply_to(caller)).status == 100
        callers.append(caller)
    return callers


def _with(sent: bytes, fields: list[str]) -> bytes:
    return sent.replace(b"\r\n\r\n", "\r\n".join(["", *fields, "", ""]).encode())


@pytest.mark.parametrize(("settings", "sent", "body"), BODIES)
async def test_of_too_many_bodies_the_one_waited_for_longest_is_refused_and_told_why(
    connect: Connect, settings: GuardSettings, sent: bytes, body: bytes
) -> None:
    async with vending_service(settings, limits=EIGHT) as service:
        first, *others = await waiting_for_bodies(connect, service, sent, QUARTER + 1)
        reply = await reply_to(first)
        assert (reply.status, reply.code, reply.header("Retry-After")) == (503, "overloaded", "1")
        assert (reply.header("Connection"), reply.json()["retryAfter"]) == ("close", 1)
        assert "SIDECAR" not in reply.json()["detail"]
        assert [event.limit for event in service.sink.of(LimitHit)] == ["slow-body"]
        for caller in others:
            assert (await reply_to(caller, body)).status in (200, 202)


@pytest.mark.parametrize(("settings", "sent", "body"), BODIES)
async def test_a_body_that_comes_with_its_head_takes_no_place_of_another(
    connect: Connect, settings: GuardSettings, sent: bytes, body: bytes
) -> None:
    async with vending_service(settings, limits=EIGHT) as service:
        waiting = await waiting_for_bodies(connect, service, sent, QUARTER)
        assert (await reply_to(await connect(service.address), sent + body)).status in (200, 202)
        for caller in waiting:
            assert (await reply_to(caller, body)).status in (200, 202)


async def test_bodies_that_never_come_keep_nobody_out(connect: Connect) -> None:
    async with vending_service(LOCKED, limits=EIGHT) as service:
        stalled = [await connect(service.address, GRANT) for _ in range(20)]
        for _ in range(20):
            caller = await connect(service.address)
            reply = await reply_to(caller, GRANT + FORM)
            assert reply.status == 200
        # Each was ended, or told that it was one too many.
        ends = await asyncio.gather(*(caller.end() for caller in stalled[:-QUARTER]))
        assert {parse(end).status for end in ends if end} <= {503}


async def test_half_sent_heads_make_room_and_not_the_caller_that_came_after_them() -> None:
    async with room(EIGHT) as here:
        older = [await half_a_head(here) for _ in range(EIGHT.max_connections)]
        newcomer = await here.caller()
        for _ in range(EIGHT.max_connections - 1):
            await half_a_head(here)
        for caller in older:
            assert await caller.end() == b""
        assert (await newcomer.ask()).status == 200


async def half_a_head(here: Room) -> Caller:
    caller = await here.caller()
    caller.writer.write(HEAD)
    return caller


async def test_half_sent_heads_do_not_end_connections_that_rest_between_requests() -> None:
    async with room(EIGHT) as here:
        resting = [await here.caller() for _ in range(EIGHT.max_connections - QUARTER)]
        for caller in resting:
            await caller.ask()
        heads = [await half_a_head(here) for _ in range(20)]
        for caller in heads[:-QUARTER]:
            assert await caller.end() == b""
        for caller in resting:
            assert (await caller.ask()).status == 200


async def test_a_connection_that_asked_before_and_then_stops_in_a_head_gives_way_like_any_other() -> None:
    async with room(EIGHT) as here:
        resting = [await here.caller() for _ in range(EIGHT.max_connections)]
        for caller in resting:
            await caller.ask()
        for caller in resting[-QUARTER:]:
            caller.writer.write(HEAD)
        assert (await (await here.caller()).ask()).status == 200
        assert await resting[-QUARTER].end() == b""
        for caller in resting[:-QUARTER]:
            assert (await caller.ask()).status == 200


async def test_connections_that_rest_leave_a_quarter_of_the_slots_to_new_callers() -> None:
    async with room(EIGHT) as here:
        resting = [await here.caller() for _ in range(EIGHT.max_connections)]
        for caller in resting:
            await caller.ask()
        newcomers = [await here.caller() for _ in range(QUARTER)]
        for caller in resting[:QUARTER]:
            assert await caller.end() == b""
        for caller in newcomers + resting[QUARTER:]:
            assert (await caller.ask()).status == 200


async def test_a_caller_that_does_not_read_its_answer_keeps_nobody_out() -> None:
    asked = asyncio.Event()

    async def much_or_little(request: web.BaseRequest) -> Response:
        asked.set()
        return make_response(200, b"x" * 20_000_000 if request.path == "/much" else b"hello", content_type="text/plain")

    async with room(Limits(max_connections=1, write_timeout_s=600), much_or_little) as here:
        deaf = await here.caller()
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]  # typed as a write transport
        deaf.writer.write(HEAD.replace(b"/v1/token", b"/much") + b"\r\n")
        await asked.wait()
        newcomer = await here.caller()
        assert (await newcomer.ask()).status == 200


async def test_where_all_slots_are_long_polls_the_one_that_waits_longest_is_answered_and_makes_room(
    connect: Connect,
) -> None:
    async with vending_service(limits=EIGHT) as service:
        service.provider.waits = True
        polls = []
        for _ in range(EIGHT.max_connections):
            polls.append(await connect(service.address, POLL))
            await service.provider.waiting.wait()
            service.provider.waiting.clear()
        newcomer = await connect(service.address)
        assert (await reply_to(newcomer, PLAIN)).status == 200
        reply = parse(await polls[0].end())
        assert (reply.status, reply.header("Connection")) == (304, "close")
        assert reply.header("ETag") is not None
        service.provider.another.set()
        for poll in polls[1:]:
            assert (await reply_to(poll)).status == 200
        assert service.served.count(("default", "token", "not-modified")) == 1


async def test_long_polls_are_answered_early_only_where_all_slots_are_taken(connect: Connect) -> None:
    async with vending_service(limits=EIGHT) as service:
        service.provider.waits = True
        polls = [await connect(service.address, POLL) for _ in range(EIGHT.max_connections - 1)]
        caller = await connect(service.address)
        for _ in range(3):
            assert (await reply_to(caller, PLAIN)).status == 200
        service.provider.another.set()
        for poll in polls:
            assert (await reply_to(poll)).status == 200


@pytest.fixture(params=["on", "off"])
async def listeners(request: pytest.FixtureRequest) -> AsyncIterator[list[Address]]:
    """Both listeners of a whole sidecar with eight slots each, with and without prepared responses."""
    async with whole_service(MAX_CONNECTIONS="8", WARM=request.param) as service:
        parts = [urlsplit(url) for url in (service.vending, service.admin)]
        yield [Address(host=str(part.hostname), port=int(part.port or 0)) for part in parts]


async def stall(connect: Connect, address: Address, sent: bytes, path: bytes, *, after: int = 4) -> None:
    """Callers that stall come in waves; who comes in the midst of each is answered, and so is who was there before."""
    asked = PLAIN.replace(b"/v1/token", path)
    kept = await connect(address)
    for _ in range(4):
        assert (await reply_to(kept, asked)).status == 200
    for _ in range(3):
        for _ in range(8):
            await connect(address, sent)
        newcomer = await connect(address)
        for _ in range(after):
            await connect(address, sent)
        assert (await reply_to(newcomer, asked)).status == 200
        assert (await reply_to(kept, asked)).status == 200


@pytest.mark.parametrize("sent", [HEAD, _with(GRANT, ["Sidecar-Request: true"])], ids=["half-heads", "bodies"])
async def test_on_both_listeners_callers_that_stall_keep_nobody_out(
    connect: Connect, listeners: list[Address], sent: bytes
) -> None:
    vending, admin = listeners
    await stall(connect, vending, sent, b"/v1/token")
    await stall(connect, admin, sent, b"/livez")


async def test_long_polls_keep_nobody_out(connect: Connect, listeners: list[Address]) -> None:
    await stall(connect, listeners[0], POLL, b"/v1/token", after=0)
