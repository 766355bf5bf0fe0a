"""What the head of a request may be, by its bytes and by what aiohttp's parsers make of it."""

from __future__ import annotations

import re
from typing import Protocol

from aiohttp.http import HttpProcessingError
from multidict import CIMultiDictProxy

LINE_END, HEAD_END = b"\r\n", b"\r\n\r\n"
NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|(?<!\r)\n")
"""What no head holds."""
_EMPTY_LINES = re.compile(rb"(?:\r\n)*")
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Z-]+ [^\x00-\x20\x7f]+ HTTP/1\.[01]\r\n")
"""Methods tell upper from lower case (RFC 9110 section 9.1); RTSP and ICE have request lines of the same form."""


class Head(Protocol):
    """What both of aiohttp's parsers make of a head."""

    @property
    def method(self) -> str: ...
    @property
    def headers(self) -> CIMultiDictProxy[str]: ...
    @property
    def should_close(self) -> bool: ...
    def _replace(self, **changes: object) -> Head: ...


class HeadTooLargeError(HttpProcessingError):
    """A head of more bytes than the limit. Has no text: it would be a part of the head."""

    code = 431


class UnreadableHeadError(HttpProcessingError):
    """Bytes that begin no request of HTTP/1.0 or 1.1, which parsers read in different ways."""

    code = 400


def taints_the_next(message: Head) -> bool:
    """Whether what follows on the connection must not be taken for a request.

    aiohttp's C parser adds the last trailer field of a chunked request to the head of the next one (seen with 3.14.5):
    the next caller behind a proxy would pass the guards by it. After `Upgrade` it drops the next request.
    """
    headers = message.headers
    return "Transfer-Encoding" in headers or "Upgrade" in headers or message.method == "CONNECT"


def asks_to_close(message: Head) -> bool:
    """Whether `close` is among the connection options, which counts before `keep-alive` (RFC 9112 section 9.3).

    To aiohttp's C parser `keep-alive` counts first where the version is 1.0.
    """
    values = message.headers.getall("Connection", ())
    options = ",".join(values).lower().split(",") if values else ()
    return any(option.strip(" \t") == "close" for option in options)


def check_line(head: bytes | bytearray) -> None:
    if not _REQUEST_LINE.match(head):
        raise UnreadableHeadError


def cut_empty_lines(held: bytearray) -> int:
    """Take the empty lines away that `held` begins with. Returns their bytes."""
    found = _EMPTY_LINES.match(held)
    size = found.end() if found else 0
    # While it lives the bytes cannot be changed.
    del found
    del held[:size]
    return size
