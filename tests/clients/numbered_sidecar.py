"""A server in place of a sidecar whose responses are numbered, so that tests see which headers came together."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN, SIGNATURE, TIMESTAMP = "x-other-token", "x-other-signature", "x-other-time"
"""Not the names of any preset."""


class NumberedSidecar(ThreadingHTTPServer):
    """Each token and each signature has the number of its response; `seen` holds path and body of each request.

    `response`, if set, is the status and the body of each response of `/v1/sign`.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes]] = []
        self.response: tuple[int, bytes] | None = None
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.seen]


class _Handler(BaseHTTPRequestHandler):
    server: NumberedSidecar

    def do_GET(self) -> None:
        self._answer(200, b"", {TOKEN: f"Bearer canary-token-{self._number()}"})

    def do_POST(self) -> None:
        number = self._number()
        if self.path.endswith("/rejected"):
            self._answer(202, b'{"verdict": "refreshing"}', {})
            return
        headers = {
            TIMESTAMP: f"canary-time-{number}",
            TOKEN: f"Bearer canary-token-{number}",
            SIGNATURE: f"canary-signature-{number}",
        }
        if self.server.response is None:
            self._answer(200, json.dumps({"headers": headers}).encode(), {})
        else:
            # The header is that of `/v1/authorize`, and means nothing here.
            self._answer(*self.server.response, {TOKEN: "Bearer canary-other"})

    def _number(self) -> int:
        self.server.seen.append((self.path, self.rfile.read(int(self.headers["Content-Length"] or 0))))
        return len(self.server.seen)

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's form
        """Write nothing: the output belongs to the tests."""
