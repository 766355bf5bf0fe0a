"""One real connection of the vending listener over a transport that only records, from first byte to last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast
from unittest.mock import patch

from aiohttp import http_parser, web_protocol

from sidecar.core.events import Event
from sidecar.core.listener_limits import Limits
from sidecar.core.partner_table import TokenHeader
from sidecar.web.api.app import TokenApi
from sidecar.web.api.guards import Guards, GuardSettings
from sidecar.web.server.listener import HttpServer
from tests.fuzz.findings import hold
from tests.support.fake_provider import FakeProvider, FixedClock, vended
from tests.support.sink import ListSink

TOKEN = "vended-token-9b2c47"
PARSERS = tuple(dict.fromkeys((http_parser.HttpRequestParser, http_parser.HttpRequestParserPy)))
"""aiohttp's parser in C, if there is one, and that in Python."""
_QUIET_TURNS = 6


@dataclass
class Conversation:
    """What the client received, and the events and log lines about it."""

    answered: bytes = b""
    events: list[Event] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    """Lines of the libraries' loggers, and errors that the event loop reported."""


class Wire(asyncio.Transport):
    """A TCP connection without a network; `written` is what the listener sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 8181)})
        self.written = bytearray()
        self._loop = loop
        self._protocol: asyncio.Protocol | None = None
        self._closing = False

    def attach(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("asyncio.Protocol", protocol)

    def receive(self, data: bytes) -> None:
        if self._protocol is not None:
            self._protocol.data_received(data)

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        self.written += data

    @property
    def protocol(self) -> asyncio.Protocol:
        """The present protocol of the connection."""
        assert self._protocol is not None
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing and self._protocol is not None:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


def converse(feeds: Sequence[bytes], settings: GuardSettings, parser: type[Any]) -> Conversation:
    """Send `feeds` one after the other, each after the listener has processed the previous ones, and hang up.

    Raises `FindingError` if a task of the connection outlives it.
    """
    said = Conversation()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: said.logged.append(repr(context)))
    tap = _Tap(said.logged)
    logging.getLogger().addHandler(tap)
    try:
        loop.run_until_complete(_converse(feeds, settings, parser, said))
    finally:
        logging.getLogger().removeHandler(tap)
        loop.close()
    return said


def connection(settings: GuardSettings) -> tuple[asyncio.Protocol, ListSink]:
    """Return a real connection and the sink of its events. The only place that depends on how it is built."""
    api, sink = _api(settings)
    sink.events.clear()
    sink.timed.clear()
    return HttpServer(api, sink, "vending", Limits())(), sink


@cache
def _api(settings: GuardSettings) -> tuple[TokenApi, ListSink]:
    """Return an API with one profile that always has a token. Cached, because it reads the OpenAPI document."""
    provider, sink = FakeProvider(), ListSink()
    provider.now = provider.later = vended(TOKEN)
    return TokenApi(
        {"default": provider}, Guards(settings), sink, FixedClock(), {"default": TokenHeader("AccessToken")}
    ), sink


async def _converse(feeds: Sequence[bytes], settings: GuardSettings, parser: type[Any], said: Conversation) -> None:
    loop = asyncio.get_running_loop()
    wire = Wire(loop)
    protocol, sink = connection(settings)
    wire.attach(protocol)
    for feed in feeds:
        if wire.is_closing():
            break
        with patch.object(web_protocol, "HttpRequestParser", parser):
            wire.receive(feed)
        await settle(wire)
    wire.close()
    await settle(wire)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=2)
    hold(true=not left, what="a task outlives its connection")
    said.answered, said.events = bytes(wire.written), list(sink.events)


async def settle(wire: Wire) -> None:
    """Run the loop until nothing more is sent."""
    quiet, sent = 0, -1
    while quiet < _QUIET_TURNS:
        await asyncio.sleep(0)
        quiet = quiet + 1 if len(wire.written) == sent else 0
        sent = len(wire.written)


class _Tap(logging.Handler):
    """Keeps the log records of libraries, as formatted text and as data."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.getMessage()} {record.exc_info!r}")
