"""Sends one GET request to a running sidecar over TCP or a unix socket. One time limit includes the name look-up.

Uses HTTP/1.0, where a response ends with its connection, on plain sockets. `http.client` would double the time of
`status` and add 6 MiB. It limits neither the time of a whole response nor the number of interim responses.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias
from urllib.parse import SplitResult, urlsplit

from sidecar.core.errors import ConfigurationError, SidecarError
from sidecar.core.model import Address, Seconds
from sidecar.core.proxies import is_loopback
from sidecar.file_operations import FileHangsError, read_in_time

MAX_HEAD_BYTES = 1 << 16
MAX_BODY_BYTES = 1 << 20

_HEAD_END = b"\r\n\r\n"
_FIRST_LINE = re.compile(r"HTTP/1\.[01] ([2-5][0-9]{2})(?: [^\x00-\x1f\x7f]*)?")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_LENGTH = re.compile("[0-9]{1,15}")

_SocketAddresses: TypeAlias = list[tuple[int, tuple[Any, ...]]]
"""Address families, and addresses in the socket module's form: the numeric address comes first."""


class UnreachableError(SidecarError):
    """No sidecar responds at the address; the text names the address and the cause."""


class _ResponseError(Exception):
    """The server does not respond like a sidecar; the text says how."""


@dataclass(frozen=True, slots=True)
class Response:
    """Header names as they were sent, values without control characters. It may hold a token."""

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


class _Deadline:
    """One time limit for all waits of a request."""

    def __init__(self, limit_s: Seconds) -> None:
        self._ends_at = time.monotonic() + limit_s

    def left_s(self) -> Seconds:
        """Return the remaining time, above 0. Raises `TimeoutError` when none remains."""
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


def get(
    url: str,
    path: str,
    headers: Mapping[str, str],
    *,
    timeout_s: Seconds,
    caller_token: str = "",
    allow_remote: bool = False,
) -> Response:
    """GET `path` from the sidecar at `url`: `http://host:port`, `host:port`, `unix:/path` or `unix:@name`.

    `timeout_s` includes the name look-up, the connection and the whole response. `caller_token` is sent to loopback
    addresses and unix sockets, and to other addresses only with `allow_remote`. No proxy is used.

    Raises `UnreachableError`; `ConfigurationError` for an address that the caller token must not be sent to.
    """
    address, deadline = _parse_address(url), _Deadline(timeout_s)
    fields = {"Host": "localhost" if address.path else str(address), **headers}
    if caller_token:
        fields["Authorization"] = f"Bearer {caller_token}"
    lines = [f"GET {path} HTTP/1.0", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    try:
        with _connect(address, deadline, loopback_only=bool(caller_token) and not allow_remote) as connection:
            connection.settimeout(deadline.left_s())
            connection.sendall("\r\n".join(lines).encode())
            return _read_response(_received(connection, deadline))
    except TimeoutError as error:
        raise UnreachableError(f"no answer from {url} within {timeout_s:g} s") from error
    except OSError as error:
        raise UnreachableError(f"no sidecar answers at {url}: {error.strerror or type(error).__name__}") from error
    except _ResponseError as error:
        raise UnreachableError(f"the server at {url} {error}") from error


# -- the connection ---------------------------------------------------------------------------------------------------


def _parse_address(url: str) -> Address:
    """Raises `UnreachableError`."""
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        return Address(path=path if path.startswith("@") else "/" + path.lstrip("/"))
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if _is_plain(parts) and parts.hostname:
            return Address(parts.hostname, parts.port or 80)
    except ValueError:
        pass
    raise UnreachableError("the address must be http://host:port, host:port, unix:/path or unix:@name")


def _is_plain(parts: SplitResult) -> bool:
    """Return whether the URL has no parts that a sidecar ignores, and nothing that would split the header `Host`."""
    alone = parts.path in ("", "/") and not parts.query and not parts.fragment and parts.username is None
    return alone and parts.scheme == "http" and parts.netloc.isascii() and parts.netloc.isprintable()


def _connect(address: Address, deadline: _Deadline, *, loopback_only: bool) -> socket.socket:
    """Connect to the address. Raises `OSError`, also `TimeoutError`, when no connection is accepted.

    `loopback_only`: the request has a caller token that must not leave this machine. Raises `ConfigurationError`,
    before any connection, when all addresses of the host are of other machines.
    """
    if path := address.path:
        return _connected(socket.AF_UNIX, f"\0{path[1:]}" if path.startswith("@") else path, deadline.left_s())
    found = _resolve(address, deadline)
    if loopback_only:
        # By the address, not by the name: a name server may return the address of any machine.
        found = [one for one in found if is_loopback(one[1][0])]
        if not found:
            only = "the caller token is sent only to loopback addresses and unix sockets"
            raise ConfigurationError([f"{only}, and {address.host} is neither: see --allow-remote"])
    for left, (family, numeric) in zip(range(len(found), 1, -1), found, strict=False):
        try:
            # An address that does not respond leaves time for the next ones.
            return _connected(family, numeric, deadline.left_s() / left)
        except OSError:
            continue
    return _connected(*found[-1], deadline.left_s())


def _connected(family: int, address: str | tuple[Any, ...], limit_s: Seconds) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(limit_s)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def _resolve(address: Address, deadline: _Deadline) -> _SocketAddresses:
    """Return at least one address. Raises `OSError`."""

    def look_up(flags: int = 0) -> _SocketAddresses:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=flags)
        return [(family, numeric) for family, _, _, _, numeric in found]

    try:
        return look_up(socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    try:
        # No signal and no time limit ends a look-up.
        return read_in_time(look_up, deadline.left_s())
    except FileHangsError:
        raise TimeoutError from None
    except UnicodeError:
        raise OSError(None, "invalid host name") from None


def _received(connection: socket.socket, deadline: _Deadline) -> Iterator[bytes]:
    while True:
        connection.settimeout(deadline.left_s())
        part = connection.recv(65_536)
        if not part:
            return
        yield part


# -- the response -----------------------------------------------------------------------------------------------------


def _read_response(parts: Iterator[bytes]) -> Response:
    """Read one response and nothing after its end. Raises `_ResponseError`."""
    raw = bytearray()
    end = -1
    while end < 0:
        searched = max(0, len(raw) - len(_HEAD_END))
        raw += next(parts, b"") or _no_http()
        end = raw.find(_HEAD_END, searched)
        if end < 0 and len(raw) > MAX_HEAD_BYTES:
            raise _ResponseError("sent a response header that is too long")
    first, *lines = raw[:end].decode("latin-1").split("\r\n")
    status = int((_FIRST_LINE.fullmatch(first) or _no_http())[1])
    fields = [_field(line) for line in lines]
    return Response(status, dict(fields), _body(raw[end + len(_HEAD_END) :], parts, _length(status, fields)))


def _field(line: str) -> tuple[str, str]:
    found = _FIELD.fullmatch(line) or _no_http()
    return found[1], found[2].rstrip(" \t")


def _length(status: int, fields: Sequence[tuple[str, str]]) -> int | None:
    """Return the length of the body; None when it ends with the connection. Raises `_ResponseError`."""
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
    too_long = _ResponseError(f"sent more than {MAX_BODY_BYTES} bytes")
    if length is not None and length > MAX_BODY_BYTES:
        raise too_long
    while (length is None or len(begun) < length) and (part := next(parts, b"")):
        begun += part
        if length is None and len(begun) > MAX_BODY_BYTES:
            raise too_long
    if length is not None and len(begun) < length:
        raise _ResponseError("closed the connection before the end of its response")
    return bytes(begun[:length])


def _no_http() -> NoReturn:
    raise _ResponseError("does not speak HTTP")
