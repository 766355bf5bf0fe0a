"""Half-closed callers that wait for another token: when they are answered, and when they are taken for gone."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.listener_limits import Limits
from sidecar.core.model import Address
from tests.support.half_closed import LOOPS, Run, answered, call, on_loop, rest_of
from tests.support.vending_service import VendingService, vending_service
from tests.support.wire import LOOPBACK, PLAIN, parse

LONG_POLL = PLAIN.replace(b"/v1/token", b"/v1/token?wait=60").replace(b"\r\n\r\n", b"\r\nIf-None-Match: *\r\n\r\n")


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return on_loop(request.param)


@asynccontextmanager
async def long_poll(at: Address = LOOPBACK) -> AsyncIterator[tuple[VendingService, socket.socket, asyncio.Event]]:
    """A half-closed caller that waits for another token, and what is set once nobody waits for it any more."""
    async with vending_service(at=at) as service:
        service.provider.waits = True
        over, wait = asyncio.Event(), service.provider.another.wait

        async def wait_and_tell() -> Any:  # noqa: ANN401 - whatever the event's own gives
            try:
                return await wait()
            finally:
                over.set()

        service.provider.another.wait = wait_and_tell  # type: ignore[method-assign]  # to see it end
        sock = await call(service.address, LONG_POLL)
        try:
            await service.provider.waiting.wait()
            yield service, sock, over
        finally:
            sock.close()


def test_a_long_poll_is_answered_at_its_end(run: Run) -> None:
    async def test() -> None:
        async with long_poll() as (service, sock, over):
            # The end was sent with the request: whoever is let in after it shows that it was read.
            assert (await answered(service.address, PLAIN)).status == 200
            assert not over.is_set()
            service.provider.another.set()
            assert parse(await rest_of(sock)).status == 200

    run(test())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_long_poll_of_a_caller_that_is_gone_altogether_is_ended(kind: str, tmp_path: Path, run: Run) -> None:
    """Over TCP a reset tells, over a unix socket the end of the caller's."""
    at = Address(path=str(tmp_path / "s")) if kind == "unix" else LOOPBACK

    async def test() -> None:
        async with long_poll(at) as (_, sock, over):
            if kind == "tcp":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
            await over.wait()

    run(test())


def test_half_closed_callers_leave_room_for_others(run: Run) -> None:
    """One that went away during a long-poll looks the same, and holds its place for no longer than it is free."""

    async def test() -> None:
        async with vending_service(limits=Limits(max_connections=2)) as service:
            service.provider.waits = True
            waiting = [await call(service.address, LONG_POLL)]
            await service.provider.waiting.wait()
            service.provider.waiting.clear()
            waiting.append(await call(service.address, LONG_POLL))
            await service.provider.waiting.wait()
            assert (await answered(service.address, PLAIN)).status == 200
            service.provider.another.set()
            assert parse(await rest_of(waiting[0])).status == 304
            assert parse(await rest_of(waiting[1])).status == 200

    run(test())
