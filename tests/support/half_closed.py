"""Clients that close their writing side after the request, on both event loops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import uvloop

from sidecar.core.model import Address
from tests.support.replica import HANG_S
from tests.support.wire import Reply, parse

Run: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_loop(loop: str) -> Run:
    """Return what runs a test on that event loop."""

    def run(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(asyncio.wait_for(test, HANG_S))

    return run


async def call(address: Address, sent: bytes) -> socket.socket:
    """A client that sends everything and closes its writing side before the listener has read anything."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_UNIX if address.path else socket.AF_INET)
    sock.setblocking(False)
    await loop.sock_connect(sock, address.path or (address.host, address.port))
    await loop.sock_sendall(sock, sent)
    sock.shutdown(socket.SHUT_WR)
    return sock


async def rest_of(sock: socket.socket) -> bytes:
    """Return what is received until the other side closes, which it must."""
    loop, got = asyncio.get_running_loop(), b""
    with sock:
        while piece := await loop.sock_recv(sock, 65_536):
            got += piece
    return got


async def answered(address: Address, sent: bytes) -> Reply:
    return parse(await rest_of(await call(address, sent)))
