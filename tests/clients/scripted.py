"""A server that gives the responses of a list, one after another, and records the requests."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Scripted:
    """One response."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b"{}"


@dataclass(frozen=True)
class Arrived:
    """One request, with the monotonic times of its arrival and of its response."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    answered_at: float


class ScriptedServer(ThreadingHTTPServer):
    """The last response of the list is repeated."""

    def __init__(self, *responses: Scripted) -> None:
        self.arrived: list[Arrived] = []
        self.responses = list(responses)
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def do_POST(self) -> None:
        at = time.monotonic()
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        responses = self.server.responses
        response = responses.pop(0) if len(responses) > 1 else responses[0]
        self.server.arrived.append(Arrived(self.path, dict(self.headers.items()), body, at, time.monotonic()))
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's form
        """Write nothing: the output belongs to the tests."""
