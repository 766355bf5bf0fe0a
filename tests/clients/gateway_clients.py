"""Real HTTP clients as apps use them: unchanged but for the base URL and one default header.

Each sends a list of steps one after the other with one client object, or in one process. A program gets the base URL
and the steps as arguments, and prints a line for each response: status, length and SHA-256 of the body, its headers
and at most the first 64 KiB of the body in base64.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import aiohttp
import httpx
import requests

from tests.support.programs import found
from tests.support.replica import HANG_S

PROGRAMS = Path(__file__).parent / "programs"
DEFAULT_HEADER = {"Sidecar-Request": "true"}
_SHORT_LIVED = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Options with which Java starts fast."""
_START_BYTES = 64 * 1024


@dataclass(frozen=True)
class Step:
    """One request. `size` is the number of further characters for `json`, and of pieces for `stream`."""

    kind: Literal["get", "head", "json", "stream"]
    path: str
    size: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.size} {self.path}"

    @property
    def method(self) -> str:
        return "POST" if self.kind in ("json", "stream") else self.kind.upper()


@dataclass(frozen=True)
class Received:
    """One response as the app sees it; `headers` have names in lower case, `body` is its first 64 KiB."""

    status: int
    length: int
    digest: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of an error of the sidecar."""
        assert self.headers["content-type"].startswith("application/problem+json"), self
        return str(json.loads(self.body)["code"])


Client: TypeAlias = Callable[[str, Sequence[Step]], list[Received]]
"""Sends the steps to a base URL and returns the responses."""


def document(size: int = 0) -> dict[str, Any]:
    """Return what each client sends as JSON."""
    return {"partnerReference": "order-4711", "amount": 100, "text": "é€" + "x" * size}


def pieces(count: int) -> Iterator[bytes]:
    """Yield what each client streams."""
    for each in range(count):
        yield bytes([97 + each % 26]) * 100_000


def with_requests(url: str, steps: Sequence[Step]) -> list[Received]:
    def send(session: requests.Session, step: Step) -> Received:
        body: dict[str, Any] = {}
        if step.kind == "json":
            body = {"json": document(step.size)}
        elif step.kind == "stream":
            body = {"data": pieces(step.size)}
        response = session.request(step.method, url + step.path, allow_redirects=False, **body)
        return received(response.status_code, response.headers.items(), response.content)

    with requests.Session() as session:
        session.headers.update(DEFAULT_HEADER)
        return [send(session, step) for step in steps]


def with_httpx(url: str, steps: Sequence[Step]) -> list[Received]:
    def send(client: httpx.Client, step: Step) -> Received:
        body: dict[str, Any] = {}
        if step.kind == "json":
            body = {"json": document(step.size)}
        elif step.kind == "stream":
            body = {"content": pieces(step.size)}
        response = client.request(step.method, step.path, **body)
        return received(response.status_code, response.headers.items(), response.content)

    with httpx.Client(base_url=url, headers=DEFAULT_HEADER, timeout=HANG_S) as client:
        return [send(client, step) for step in steps]


def with_aiohttp(url: str, steps: Sequence[Step]) -> list[Received]:
    async def stream(count: int) -> AsyncIterator[bytes]:
        for piece in pieces(count):
            yield piece

    async def send(session: aiohttp.ClientSession, step: Step) -> Received:
        body: dict[str, Any] = {}
        if step.kind == "json":
            body = {"json": document(step.size)}
        elif step.kind == "stream":
            body = {"data": stream(step.size)}
        async with session.request(step.method, step.path, allow_redirects=False, **body) as response:
            return received(response.status, response.headers.items(), await response.read())

    async def send_all() -> list[Received]:
        async with aiohttp.ClientSession(url, headers=DEFAULT_HEADER) as session:
            return [await send(session, step) for step in steps]

    return asyncio.run(send_all())


def with_fetch(url: str, steps: Sequence[Step]) -> list[Received]:
    return _printed(run("node", PROGRAMS / "fetch.mjs", url, *map(str, steps)))


def with_java(classes: Path, *options: str) -> Client:
    """`classes` is the folder with the compiled program, `options` are for the virtual machine."""
    return lambda url, steps: _printed(
        run("java", *_SHORT_LIVED, *options, "-cp", classes, "GatewayClient", url, *map(str, steps))
    )


def run(program: str, *arguments: str | Path) -> str:
    """Run a program that has to succeed, without the environment of the tests, and return its output."""
    environ = {"PATH": os.environ.get("PATH", os.defpath)}
    done = subprocess.run(
        [found(program) or program, *arguments],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def received(status: int, headers: Iterable[tuple[str, str]], body: bytes) -> Received:
    """Return the response of a client that has the whole body."""
    names = {name.lower(): value for name, value in headers}
    return Received(status, len(body), hashlib.sha256(body).hexdigest(), names, body[:_START_BYTES])


def _printed(output: str) -> list[Received]:
    return [_from_line(line) for line in output.splitlines()]


def _from_line(line: str) -> Received:
    status, length, digest, headers, body = line.split(" ")
    fields = (field.partition(": ") for field in base64.b64decode(headers).decode("latin-1").split("\n"))
    names = {name.lower(): value for name, _, value in fields}
    return Received(int(status), int(length), digest, names, base64.b64decode(body))
