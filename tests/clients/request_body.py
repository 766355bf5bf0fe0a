"""Reads the body of a request in a server of the standard library."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler


def read_body(request: BaseHTTPRequestHandler) -> bytes:
    """Return the whole body, of a known length or in chunks."""
    if not request.headers["Transfer-Encoding"]:
        return request.rfile.read(int(request.headers["Content-Length"] or 0))
    whole = b""
    while size := int(request.rfile.readline(), 16):
        whole += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return whole
