"""Sends one request to a running sidecar over TCP or a unix socket.

Uses HTTP/1.0, where a response ends with its connection, on plain sockets. `http.client` would double the time of
`status` and add 6 MiB. It limits neither the time of a whole response nor the number of interim responses.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from sidecar.cli.dial import Deadline, UnreachableError, dial, place
from sidecar.core.model import Seconds

__all__ = ["Answer", "UnreachableError", "ask"]

MAX_HEAD_BYTES = 1 << 16
MAX_BODY_BYTES = 1 << 20

_HEAD_END = b"\r\n\r\n"
_FIRST_LINE = re.compile(r"HTTP/1\.[01] ([2-5][0-9]{2})(?: [^\x00-\x1f\x7f]*)?")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_LENGTH = re.compile("[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: header names as they were sent, values without control characters. It may hold a token."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def document(self) -> dict[str, object]:
        """Return the body as a JSON object that can be serialized again; empty when it is none."""
        try:
            found = json.loads(self.body)
            # Values that JSON cannot serialize again count as no JSON: NaN, 1e999, or lists nested too deep.
            json.dumps(found, allow_nan=False)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def ask(
    url: str,
    path: str,
    headers: Mapping[str, str],
    *,
    timeout_s: Seconds,
    caller_token: str = "",
    allow_remote: bool = False,
) -> Answer:
    """GET `path` from the sidecar at `url`: `http://host:port`, `host:port`, `unix:/path` or `unix:@name`.

    `timeout_s` includes the name look-up, the connection and the whole response. `caller_token` is sent to loopback
    addresses and unix sockets, and to other addresses only with `allow_remote`. No proxy is used.

    Raises `UnreachableError`, whose text names the address and the cause; `ConfigurationError` for an address that the
    caller token must not be sent to.
    """
    where, deadline = place(url), Deadline(timeout_s)
    fields = {"Host": where.host_header, **headers}
    if caller_token:
        fields["Authorization"] = f"Bearer {caller_token}"
    lines = [f"GET {path} HTTP/1.0", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    try:
        with dial(where, deadline, loopback_only=bool(caller_token) and not allow_remote) as connection:
            connection.settimeout(deadline.left_s())
            connection.sendall("\r\n".join(lines).encode())
            return _answer(_received(connection, deadline))
    except TimeoutError as error:
        raise UnreachableError(f"no answer from {url} within {timeout_s:g} s") from error
    except OSError as error:
        raise UnreachableError(f"no sidecar answers at {url}: {error.strerror or type(error).__name__}") from error
    except _NoAnswerError as error:
        raise UnreachableError(f"the server at {url} {error}") from error


class _NoAnswerError(Exception):
    """The server does not respond like a sidecar; the text says how."""


def _received(connection: socket.socket, deadline: Deadline) -> Iterator[bytes]:
    while True:
        connection.settimeout(deadline.left_s())
        part = connection.recv(65_536)
        if not part:
            return
        yield part


def _answer(parts: Iterator[bytes]) -> Answer:
    """Read one response and nothing after its end. Raises `_NoAnswerError`."""
    raw = bytearray()
    end = -1
    while end < 0:
        searched = max(0, len(raw) - len(_HEAD_END))
        raw += next(parts, b"") or _no_http()
        end = raw.find(_HEAD_END, searched)
        if end < 0 and len(raw) > MAX_HEAD_BYTES:
            raise _NoAnswerError("sent a response header that is too long")
    first, *lines = raw[:end].decode("latin-1").split("\r\n")
    status = int((_FIRST_LINE.fullmatch(first) or _no_http())[1])
    fields = [_field(line) for line in lines]
    return Answer(status, dict(fields), _body(raw[end + len(_HEAD_END) :], parts, _length(status, fields)))


def _field(line: str) -> tuple[str, str]:
    found = _FIELD.fullmatch(line) or _no_http()
    return found[1], found[2].rstrip(" \t")


def _length(status: int, fields: Sequence[tuple[str, str]]) -> int | None:
    """Return the length of the body; None when it ends with the connection. Raises `_NoAnswerError`."""
    if any(name.lower() == "transfer-encoding" for name, _ in fields):
        # No server sends a chunked response to HTTP/1.0.
        _no_http()
    if status in (204, 304):
        return 0
    stated = {value for name, value in fields if name.lower() == "content-length"}
    if not stated:
        return None
    if len(stated) > 1 or not _LENGTH.fullmatch(length := stated.pop()):
        _no_http()
    return int(length)


def _body(begun: bytearray, parts: Iterator[bytes], length: int | None) -> bytes:
    too_long = _NoAnswerError(f"sent more than {MAX_BODY_BYTES} bytes")
    if length is not None and length > MAX_BODY_BYTES:
        raise too_long
    while (length is None or len(begun) < length) and (part := next(parts, b"")):
        begun += part
        if length is None and len(begun) > MAX_BODY_BYTES:
            raise too_long
    if length is not None and len(begun) < length:
        raise _NoAnswerError("closed the connection before the end of its response")
    return bytes(begun[:length])


def _no_http() -> NoReturn:
    raise _NoAnswerError("does not speak HTTP")
