"""A partner that records each request, checks its signature, and has large, chunked and compressed responses."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import itertools
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, TypeAlias

from sidecar.partner.presets import PRESETS

SIGNING_KEY = "canary-signing-key"
PATHS = "/api/pay1st/answers"
LARGE = bytes(range(251)) * 20_000
"""5 MB in which no two places of a power-of-two distance are equal."""
TEXT = json.dumps([f"item {place}" for place in range(2000)]).encode()
COMPRESSED = gzip.compress(TEXT, mtime=0)
ELSEWHERE = "http://127.0.0.1:9/elsewhere"
_PIECE_BYTES = 10_000

Signature: TypeAlias = Literal["missing", "valid", "wrong"]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One request. `connection` is the port that it came from; names of `headers` are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    signature: Signature


class RecordingPartner(ThreadingHTTPServer):
    """`seen` has all requests but those for a token; `elsewhere` is where `/moved` leads."""

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[Recorded] = []
        self.elsewhere = ELSEWHERE
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._accepted = ""
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def issue(self) -> str:
        """Issue a token; those before are refused from now on."""
        with self._lock:
            self._accepted = f"canary-token-{next(self._numbers)}"
            return self._accepted

    def revoke(self) -> None:
        """Refuse all tokens issued so far."""
        self._accepted = ""

    def accepts(self, header: str) -> bool:
        return header == f"Bearer {self._accepted}"


class _Handler(BaseHTTPRequestHandler):
    server: RecordingPartner
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._record(b"")
        if not self.server.accepts(self.headers["AccessToken"]):
            self._send(401, b'{"errorCode": "InvalidToken"}')
        elif self.path == f"{PATHS}/large":
            self._send(200, LARGE)
        elif self.path == f"{PATHS}/chunked":
            self._send_chunks(LARGE)
        elif self.path == f"{PATHS}/compressed":
            self._send(200, COMPRESSED, ("Content-Encoding", "gzip"))
        elif self.path == f"{PATHS}/moved":
            self._send(302, b"moved", ("Location", self.server.elsewhere))
        else:
            self._send(200, json.dumps({"target": self.path}).encode())

    do_HEAD = do_GET  # noqa: N815 - the standard library's name

    def do_POST(self) -> None:
        # Without a length there is no body for this partner: the sidecar has to send one.
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path == PRESETS["pay1st"].token_path:
            self._send(200, json.dumps({"role": "API_USER", "accessToken": self.server.issue()}).encode())
            return
        self._record(body)
        if self.server.accepts(self.headers["AccessToken"]):
            self._send(201, body)
        else:
            self._send(401, b'{"errorCode": "InvalidToken"}')

    def _record(self, body: bytes) -> None:
        self.server.seen.append(
            Recorded(
                method=self.command,
                target=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
                connection=self.client_address[1],
                signature=self._signature(body),
            )
        )

    def _signature(self, body: bytes) -> Signature:
        timestamp, signature = self.headers["X-TIMESTAMP"], self.headers["X-SIGNATURE"]
        if timestamp is None and signature is None:
            return "missing"
        right = hmac.new(SIGNING_KEY.encode(), str(timestamp).encode() + body, hashlib.sha256).hexdigest()
        return "valid" if signature == right else "wrong"

    def _send(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_chunks(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(body), _PIECE_BYTES):
            piece = body[start : start + _PIECE_BYTES]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's form
        """Write nothing: the output belongs to the tests."""
