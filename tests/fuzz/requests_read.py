"""A second reading of requests: small, strict, and without code of the product.

It supports less HTTP than a server does. An ambiguous request and all after it count as unreadable, and no token
may be vended for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

REQUIRED = "sidecar-request"
FORBIDDEN: tuple[str, ...] = ("x-forwarded*", "x-real-ip", "forwarded", "via", "origin")
"""Names, or beginnings of names before a `*`, that no request may have."""
ALLOWED_VALUES: Mapping[str, frozenset[str]] = {"sec-fetch-site": frozenset({"none", "same-origin"})}
"""Headers that may have only these values."""

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) +HTTP/1\.[01]")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_HOST = re.compile(r"(localhost\.?|127(\.[0-9]{1,3}){3}|\[[0:]*:0{0,3}1\])(:[0-9]{1,5})?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")


@dataclass(frozen=True)
class Request:
    """One request as sent; header names in lower case, with `-` for `_`.

    Methods are compared without regard to case, as one of aiohttp's parsers accepts them.
    """

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    @property
    def has_header(self) -> bool:
        """Whether the required header is there, once."""
        return [value.lower() for value in self.values(REQUIRED)] == ["true"]

    @property
    def is_direct(self) -> bool:
        """Whether it names this machine, and shows no sign of a proxy or a browser."""
        hosts = self.values("host")
        return (
            len(hosts) == 1
            and _HOST.fullmatch(hosts[0].lower()) is not None
            and not any(_is_forbidden(name) for name, _ in self.fields)
            and all(value.lower() in ALLOWED_VALUES.get(name, {value.lower()}) for name, value in self.fields)
            and (self.method.upper() == "POST" or not self._announces_a_body)
        )

    @property
    def _announces_a_body(self) -> bool:
        lengths = [value.strip("0") for value in self.values("content-length")]
        return any(lengths) or bool(self.values("transfer-encoding"))


def requests_read(stream: bytes) -> Iterator[Request]:
    """Yield the requests in a caller's data, up to the first with an unreadable head or an ambiguous end."""
    while True:
        # Blank lines between requests are ignored (RFC 9112 section 2.2).
        stream = stream.lstrip(b"\r\n")
        head, end, rest = stream.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        started = _LINE.fullmatch(line)
        fields = [_FIELD.fullmatch(one) for one in lines]
        if not end or started is None or None in fields:
            return
        named = tuple((_name(one[1]), one[2].decode("latin-1")) for one in fields if one)
        text, left = _body(named, rest)
        yield Request(started[1].decode(), started[2].decode("latin-1"), named, text)
        if left is None:
            return
        stream = left


def _name(raw: bytes) -> str:
    return raw.decode().lower().replace("_", "-")


def _is_forbidden(name: str) -> bool:
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in FORBIDDEN)


def _body(fields: tuple[tuple[str, str], ...], rest: bytes) -> tuple[bytes, bytes | None]:
    """Return the body and the data after it; None if the body is cut off or its end is ambiguous."""
    lengths = [value for name, value in fields if name == "content-length"]
    codings = [value.lower() for name, value in fields if name == "transfer-encoding"]
    if codings:
        return _chunks(rest) if codings == ["chunked"] and not lengths else (rest, None)
    if not lengths:
        return b"", rest
    if len(lengths) > 1 or not re.fullmatch("[0-9]{1,6}", lengths[0]) or int(lengths[0]) > len(rest):
        return rest, None
    return rest[: int(lengths[0])], rest[int(lengths[0]) :]


def _chunks(rest: bytes) -> tuple[bytes, bytes | None]:
    body = b""
    while size := _CHUNK.match(rest):
        length, rest = int(size[1], 16), rest[size.end() :]
        if rest[length : length + 2] != b"\r\n":
            break
        body, rest = body + rest[:length], rest[length + 2 :]
        if length == 0:
            return body, rest
    return body + rest, None
