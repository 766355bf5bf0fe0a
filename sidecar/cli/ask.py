"""One question to a running sidecar over TCP or a unix socket.

In HTTP/1.0, where an answer ends with its connection: a few lines, where loading the standard library's client took a
fourth of what `status` may.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from sidecar.core.errors import SidecarError
from sidecar.core.model import Seconds

MAX_ANSWER_BYTES = 1 << 20
_FIRST_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")


class UnreachableError(SidecarError):
    """No sidecar answers there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, its header names as they were sent; not printed as a whole, for it may hold a token."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Answer({self.status})"

    def document(self) -> dict[str, object]:
        """The body as a JSON object; empty when it is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def ask(url: str, path: str, headers: Mapping[str, str], *, timeout_s: Seconds) -> Answer:
    """GET `path` from the sidecar at `url`: `http://host:port`, `host:port`, `unix:/path` or `unix:@name`.

    Raises `UnreachableError`, whose text names the address and the cause.
    """
    where = _place(url)
    lines = [f"GET {path} HTTP/1.0", f"Host: {_host(where)}", *(f"{name}: {value}" for name, value in headers.items())]
    try:
        with _dial(where, timeout_s) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            raw = _read_all(connection)
    except TimeoutError as error:
        raise UnreachableError(f"no answer from {url} within {timeout_s:g} s") from error
    except OSError as error:
        raise UnreachableError(f"no sidecar answers at {url}: {error.strerror or type(error).__name__}") from error
    head, end, body = raw.partition(b"\r\n\r\n")
    status = _FIRST_LINE.match(head)
    if status is None or not end:
        raise UnreachableError(f"what answers at {url} does not speak HTTP")
    fields = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return Answer(int(status[1]), {name: value.strip() for name, _, value in fields}, body)


def _host(where: str | tuple[str, int]) -> str:
    if isinstance(where, str):
        return "localhost"
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _read_all(connection: socket.socket) -> bytes:
    raw = b""
    while len(raw) < MAX_ANSWER_BYTES and (more := connection.recv(65_536)):
        raw += more
    return raw


def _dial(where: str | tuple[str, int], timeout_s: Seconds) -> socket.socket:
    if isinstance(where, tuple):
        return socket.create_connection(where, timeout_s)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    try:
        connection.connect(where)
    except BaseException:
        connection.close()
        raise
    return connection


def _place(url: str) -> str | tuple[str, int]:
    """The path of a unix socket, with a null byte before an abstract one, or host and port."""
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        return f"\0{path[1:]}" if path.startswith("@") else "/" + path.lstrip("/")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme != "http" or parts.username is not None or parts.path not in ("", "/"):
        raise UnreachableError("the address must be http://host:port, host:port, unix:/path or unix:@name")
    return host, port or 80
