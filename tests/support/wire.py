"""HTTP requests as bytes: the socket gets exactly what the test passes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sidecar.core.listener_limits import Limits
from sidecar.core.model import Address
from sidecar.core.ports import EventSink
from sidecar.web.server.listener import Handler, HttpServer, Listener
from tests.support.replica import HANG_S

LOOPBACK = Address(host="127.0.0.1", port=0)
ASKING = {"Host": "localhost", "Sidecar-Request": "true"}
"""The headers of a correct caller."""
PLAIN = b"GET /v1/token HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\n\r\n"
"""The whole request of that caller."""


@dataclass(frozen=True)
class Reply:
    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    raw: bytes

    def header(self, name: str) -> str | None:
        """Return the header's value, or None if it is absent. Fails if it is there twice."""
        found = [value for key, value in self.fields if key == name.lower()]
        assert len(found) <= 1, f"{name} is there {len(found)} times"
        return found[0] if found else None

    def json(self) -> Any:  # noqa: ANN401 - whatever was answered
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error code of the response."""
        assert self.header("Content-Type") == "application/problem+json"
        return str(self.json()["code"])


async def exchange(address: Address, sent: bytes) -> Reply:
    """Send bytes, then read until the other side closes."""
    if address.path:
        reader, writer = await asyncio.open_unix_connection(address.file or f"\0{address.path[1:]}")
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        writer.write(sent)
        raw = await asyncio.wait_for(reader.read(), HANG_S)
    finally:
        writer.close()
        await writer.wait_closed()
    return parse(raw)


def parse(raw: bytes) -> Reply:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    fields = tuple((name.lower(), value.strip()) for name, _, value in pairs)
    return Reply(int(first.split(" ")[1]), fields, body, raw)


async def ask(
    address: Address,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    bare: bool = False,
) -> Reply:
    """Send one request with the headers of `ASKING` (unless `bare`) and the given ones."""
    fields = {**({} if bare else ASKING), "Connection": "close", **(headers or {})}
    if body:
        fields.setdefault("Content-Length", str(len(body)))
        fields.setdefault("Content-Type", "application/json")
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return await exchange(address, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


@asynccontextmanager
async def serving(
    handler: Handler, sink: EventSink, at: Address = LOOPBACK, limits: Limits | None = None
) -> AsyncIterator[Address]:
    """Run a listener with one handler; yields its address."""
    listener = Listener(HttpServer(handler, sink, "vending", limits or Limits()))
    await listener.start([at])
    try:
        yield listener.bound[0]
    finally:
        await listener.stop(0.1)
