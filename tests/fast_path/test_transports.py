"""An answer that was learned over a unix socket is given over TCP only where TCP would have given it, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.limits import Limits
from sidecar.core.model import Address
from sidecar.web.guards import Guards, GuardSettings
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.http_server import HttpServer
from sidecar.web.server.listener import Listener
from sidecar.web.token_api import TokenApi
from tests.fakes.sink import ListSink
from tests.fakes.vendor import FakeVendor, FixedClock, vended
from tests.fakes.wire import LOOPBACK, PLAIN, exchange


class NoTally:
    def count(self, code: str, duration_s: float) -> None:
        """Nothing is counted."""


@asynccontextmanager
async def both_transports(folder: Path, settings: GuardSettings) -> AsyncIterator[tuple[Address, Address]]:
    """The addresses of one listener with the fast path: over TCP, over a unix socket."""
    vendor, sink, clock = FakeVendor(), ListSink(), FixedClock()
    vendor.now = replace(vended(), good_until=60)
    fast_path = FastPath(clock, lambda _profile, _endpoint: NoTally())
    api = TokenApi({"default": vendor}, Guards(settings), sink, clock, {"default": "AccessToken"}, fast_path=fast_path)
    listener = Listener(lambda: HttpServer(api, sink, "vending", Limits(), fast_path))
    await listener.start([LOOPBACK, Address(path=str(folder / "s"))])
    try:
        tcp, unix = listener.bound
        yield tcp, unix
    finally:
        await listener.stop(0.1)


@pytest.mark.parametrize(
    ("settings", "path", "lines"),
    [
        (GuardSettings(), "/v1/token", ["Host: evil.test", "Sidecar-Request: true"]),
        (GuardSettings(), "/v1/token", ["Sidecar-Request: true"]),
        (GuardSettings(forward_auth=True), "/v1/authorize", ["Host: localhost"]),
        (GuardSettings(forward_auth=True), "/v1/authorize/default/x", ["Host: localhost", "Via: 1.1 proxy"]),
    ],
    ids=["a foreign host", "no host", "no required header", "forwarded"],
)
async def test_what_a_unix_socket_alone_is_answered_is_never_answered_over_tcp(
    tmp_path: Path, settings: GuardSettings, path: str, lines: list[str]
) -> None:
    version = "HTTP/1.1" if any(line.startswith("Host") for line in lines) else "HTTP/1.0"
    request = "\r\n".join([f"GET {path} {version}", "Connection: close", *lines, "", ""]).encode()
    async with both_transports(tmp_path, settings) as (tcp, unix):
        assert [(await exchange(unix, request)).status for _ in range(3)] == [200] * 3
        assert [(await exchange(tcp, request)).status for _ in range(3)] == [403] * 3


async def test_a_request_whose_answer_ends_the_connection_ends_it_from_its_bytes_too(tmp_path: Path) -> None:
    """What follows `Upgrade` is not read the same by all; `exchange` reads until the connection ends."""
    request = PLAIN.replace(b"\r\n\r\n", b"\r\nUpgrade: h2c\r\n\r\n")
    async with both_transports(tmp_path, GuardSettings()) as (tcp, _):
        replies = [await exchange(tcp, request) for _ in range(4)]
        assert [(reply.status, reply.header("Connection")) for reply in replies] == [(200, "close")] * 4
