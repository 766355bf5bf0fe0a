"""A server that redirects, records the requests, and responds as a test chooses."""

from __future__ import annotations

from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.clients.request_body import read_body


@dataclass(frozen=True)
class Seen:
    """One request; `token` is its header `AccessToken`, `headers` has the names in lower case."""

    method: str
    target: str
    token: str | None
    body: bytes = field(default=b"")
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class Redirector(ThreadingHTTPServer):
    """`locations` has a status and a `Location` for targets; any other target is answered with `status`.

    For a proxy the targets are whole URLs.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.locations: dict[str, tuple[int, str]] = {}
        self.status = 200
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def tokens(self) -> list[bool]:
        """For each request, whether it had a token."""
        return [seen.token is not None for seen in self.seen]


class _Handler(BaseHTTPRequestHandler):
    server: Redirector

    def _answer(self) -> None:
        body = read_body(self)
        tokens = self.headers.get_all("AccessToken")
        headers = tuple((name.lower(), value) for name, value in self.headers.items())
        self.server.seen.append(Seen(self.command, self.path, ",".join(tokens) if tokens else None, body, headers))
        status, location = self.server.locations.get(self.path, (self.server.status, ""))
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = _answer  # noqa: N815 - the standard library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's form
        """Write nothing: the output belongs to the tests."""
