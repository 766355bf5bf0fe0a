"""Reads the output of a listener as HTTP responses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.fuzz.findings import hold

VERSION = r"HTTP/1\.[01]"
"""A response has the HTTP version of its request."""

_LINE = re.compile(VERSION + r" ([1-5][0-9]{2}) [A-Za-z -]+")
_FIELD = re.compile(r"([A-Za-z-]+): ([\x21-\x7e][\x20-\x7e]*)")
_NO_BODY = (204, 304)


@dataclass(frozen=True)
class EndpointResult:
    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    raw: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]


def answers_read(stream: bytes) -> Iterator[EndpointResult]:
    """Yield each final response in order; fail if the bytes are no response. One to HEAD has a length and no body."""
    while stream:
        head, end, rest = stream.partition(b"\r\n\r\n")
        hold(true=bool(end), what=f"an answer's head is cut off: {head[:80]!r}")
        line, *lines = head.decode("latin-1").split("\r\n")
        started, fields = _LINE.fullmatch(line), [_FIELD.fullmatch(one) for one in lines]
        if started is None or None in fields:
            hold(true=False, what=f"no answer of HTTP: {head[:200]!r}")
            return
        named = tuple((one[1].lower(), one[2]) for one in fields if one)
        status = int(started[1])
        if status == 100:
            stream = rest
            continue
        body = _body(status, named, rest)
        yield EndpointResult(status, named, body, head + body)
        stream = rest[len(body) :]


def _body(status: int, fields: tuple[tuple[str, str], ...], rest: bytes) -> bytes:
    lengths = [int(value) for name, value in fields if name == "content-length"]
    hold(true=len(lengths) <= 1, what="an answer has two lengths")
    if status in _NO_BODY or not rest or rest.startswith(b"HTTP/"):
        return b""
    hold(true=bool(lengths) and lengths[0] <= len(rest), what="an answer's body is cut off")
    return rest[: lengths[0]]
