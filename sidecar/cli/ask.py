"""One question to a running sidecar over TCP or a unix socket, with the standard library's client only."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from sidecar.core.errors import SidecarError
from sidecar.core.model import Seconds

MAX_ANSWER_BYTES = 1 << 20


class UnreachableError(SidecarError):
    """No sidecar answers there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names match in any case; not printed as a whole, for it may hold a token."""

    status: int
    headers: http.client.HTTPMessage
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
    connection = _connection(url, timeout_s)
    try:
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read(MAX_ANSWER_BYTES))
    except TimeoutError as error:
        raise UnreachableError(f"no answer from {url} within {timeout_s:g} s") from error
    except OSError as error:
        raise UnreachableError(f"no sidecar answers at {url}: {error.strerror or type(error).__name__}") from error
    except http.client.HTTPException as error:
        raise UnreachableError(f"what answers at {url} does not speak HTTP") from error
    finally:
        connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: Seconds) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(url: str, timeout_s: Seconds) -> http.client.HTTPConnection:
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        return _UnixConnection(f"\0{path[1:]}" if path.startswith("@") else "/" + path.lstrip("/"), timeout_s)
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme != "http" or parts.username is not None or parts.path not in ("", "/"):
        raise UnreachableError("the address must be http://host:port, host:port, unix:/path or unix:@name")
    return http.client.HTTPConnection(host, port or 80, timeout=timeout_s)
