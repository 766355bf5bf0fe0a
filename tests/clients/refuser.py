"""A server, also a proxy, that answers 401 to every request and records it."""

from __future__ import annotations

import contextlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.clients.request_body import read_body

_REFUSAL = bytes(1 << 20)
"""More than buffers hold: a client that does not read it keeps its connection until it closes it."""


class Refuser(ThreadingHTTPServer):
    """`seen` holds the target, the header `AccessToken` and the body of each request."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Refuser

    def _refuse(self) -> None:
        self.server.seen.append((self.path, self.headers["AccessToken"], read_body(self)))
        self.send_response(401)
        self.send_header("Content-Length", str(len(_REFUSAL)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(_REFUSAL)

    do_GET = do_POST = do_PUT = do_DELETE = _refuse  # noqa: N815 - the standard library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's form
        """Write nothing: the output belongs to the tests."""
