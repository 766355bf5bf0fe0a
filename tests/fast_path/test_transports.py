"""On real sockets: a request that was learned over a unix socket is not known over TCP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
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
from tests.fakes.vendor import FakeVendor, FixedClock
from tests.fakes.wire import LOOPBACK, PLAIN, exchange
from tests.fast_path.learner import Counting


@dataclass
class Vending:
    """One listener on both transports, and what its fast path has counted."""

    tcp: Address
    unix: Address
    tally: Counting

    @property
    def fast_responses(self) -> int:
        return len(self.tally.counted)


@asynccontextmanager
async def vending(folder: Path, settings: GuardSettings) -> AsyncIterator[Vending]:
    sink, clock, tally = ListSink(), FixedClock(), Counting()
    fast_path = FastPath(clock, lambda _profile, _endpoint: tally)
    vendors, headers = {"default": FakeVendor()}, {"default": "AccessToken"}
    api = TokenApi(vendors, Guards(settings), sink, clock, headers, fast_path=fast_path)
    listener = Listener(lambda: HttpServer(api, sink, "vending", Limits(), fast_path))
    await listener.start([LOOPBACK, Address(path=str(folder / "s"))])
    try:
        tcp, unix = listener.bound
        yield Vending(tcp, unix, tally)
    finally:
        await listener.stop(0.1)


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
async def test_what_is_answered_over_a_unix_socket_alone_is_refused_over_tcp_when_it_is_known(
    tmp_path: Path, settings: GuardSettings, request_: bytes
) -> None:
    async with vending(tmp_path, settings) as here:
        assert [(await exchange(here.unix, request_)).status for _ in range(4)] == [200] * 4
        assert here.fast_responses == 2
        assert [(await exchange(here.tcp, request_)).status for _ in range(4)] == [403] * 4
        assert here.fast_responses == 2


@pytest.mark.parametrize("transport", ["tcp", "unix"])
async def test_a_known_request_ends_its_connection_where_it_asks_for_that(tmp_path: Path, transport: str) -> None:
    """`exchange` reads until the connection ends."""
    request = PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with vending(tmp_path, GuardSettings()) as here:
        address = here.tcp if transport == "tcp" else here.unix
        replies = [await exchange(address, request) for _ in range(4)]
        assert [(reply.status, reply.header("Connection")) for reply in replies] == [(200, "close")] * 4
        assert here.fast_responses == 2
