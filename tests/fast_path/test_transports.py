"""On real sockets: a request that was stored over a unix socket is not known over TCP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.core.model import Address
from sidecar.web.api.guards import GuardSettings
from tests.support.fast_listener import FastListener, fast_listener
from tests.support.wire import LOOPBACK, PLAIN, exchange


@asynccontextmanager
async def both_transports(
    folder: Path, settings: GuardSettings
) -> AsyncIterator[tuple[FastListener, Address, Address]]:
    """Run one listener; yield its TCP and unix socket addresses."""
    async with fast_listener(settings, at=[LOOPBACK, Address(path=str(folder / "s"))]) as here:
        tcp, unix = here.listener.bound
        yield here, tcp, unix


def closing(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Connection: close", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("settings", "request_"),
    [
        (GuardSettings(), closing("/v1/token", "Host: evil.test", "Sidecar-Request: true")),
        (GuardSettings(), closing("http://evil.test/v1/token", "Host: localhost", "Sidecar-Request: true")),
        (GuardSettings(forward_auth=True), closing("/v1/authorize", "Host: localhost")),
        (GuardSettings(forward_auth=True), closing("/v1/authorize/default/x", "Host: localhost", "Via: 1.1 proxy")),
    ],
    ids=["a foreign host", "a foreign target", "no required header", "forwarded"],
)
async def test_a_known_request_that_is_served_only_over_a_unix_socket_is_refused_over_tcp(
    tmp_path: Path, settings: GuardSettings, request_: bytes
) -> None:
    async with both_transports(tmp_path, settings) as (here, tcp, unix):
        assert [(await exchange(unix, request_)).status for _ in range(4)] == [200] * 4
        assert here.fast_responses == 2
        assert [(await exchange(tcp, request_)).status for _ in range(4)] == [403] * 4
        assert here.fast_responses == 2


@pytest.mark.parametrize("transport", ["tcp", "unix"])
async def test_a_known_request_with_connection_close_ends_its_connection(tmp_path: Path, transport: str) -> None:
    """`exchange` reads until the connection ends."""
    request = PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with both_transports(tmp_path, GuardSettings()) as (here, tcp, unix):
        address = tcp if transport == "tcp" else unix
        replies = [await exchange(address, request) for _ in range(4)]
        assert [(reply.status, reply.header("Connection")) for reply in replies] == [(200, "close")] * 4
        assert here.fast_responses == 2
