"""Requests that the fast path may answer, and others that it must leave to the long way."""

from __future__ import annotations

from collections.abc import Sequence

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
HOST, REQUIRED = b"Host: localhost", b"Sidecar-Request: true"
USUAL = (HOST, REQUIRED)
"""The header lines of a client that is served where no others are required."""
FORM = b"grant_type=client_credentials"
REPORT = b'{"tokenId": "x"}'


def request(
    target: bytes, *lines: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1", body: bytes = b""
) -> bytes:
    return b"\r\n".join([b" ".join((method, target, version)), *lines, b"", b""]) + body


def posted(target: bytes, media_type: bytes, body: bytes, *lines: bytes) -> bytes:
    described = (b"Content-Type: " + media_type, b"Content-Length: %d" % len(body))
    return request(target, *lines, *described, method=b"POST", body=body)


def with_line(head: bytes, line: bytes, at: int) -> bytes:
    """Return the request with one more header line, after this many others."""
    first, *lines = head.split(b"\r\n")
    at = min(at, len(lines) - 2)
    return b"\r\n".join([first, *lines[:at], line, *lines[at:]])


def known_requests(lines: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return requests that the fast path answers once they are stored. The first is the simplest."""
    return (
        request(b"/v1/token", *lines),
        request(b"/v1/token", *lines, b"Accept: text/plain"),
        request(b"/v1/token/other", *lines),
        request(b"/v1/authorize", *lines),
        request(b"/v1/authorize/other", *lines),
        request(b"/v1/token", *lines, b"Connection: close"),
        request(b"/v1/token", *lines, b"Connection: keep-alive"),
        request(b"http://localhost/v1/token", *lines),
        request(b"/v1/token", *lines, b"X-Unknown: 1"),
    )


def other_requests(lines: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return requests that the fast path never answers: each differs from a known one in one point."""
    return (
        request(b"/v1/token?wait=30", *lines, b"If-None-Match: *"),
        request(b"/v1/token", *lines, b"If-None-Match: *"),
        request(b"/v1/token", *lines, b'If-None-Match: "x"'),
        request(b"/v1/token?min_ttl=5", *lines),
        request(b"/v1/token", *lines, method=b"HEAD"),
        request(b"/v1/authorize", *lines, method=b"PUT"),
        request(b"/v1/token", *lines, version=b"HTTP/1.0"),
        request(b"/v1/token", *lines, b"Connection: keep-alive", version=b"HTTP/1.0"),
        request(b"/v1/token", *lines, b"Connection: Upgrade", b"Upgrade: websocket"),
        request(b"/v1/token", *lines, b"Expect: 100-continue"),
        request(b"/v1/token", *lines, b"Content-Length: 4", body=b"GET "),
        request(b"/v1/token", *lines, b"Content-Length: 4"),
        request(b"/v1/authorize", *lines, b"Content-Length: 0"),
        request(b"/v1/authorize", *lines, b"Content-Length: 4"),
        request(b"/v1/authorize", *lines, b"Content-Length: 4", body=b"GET "),
        request(
            b"/v1/authorize",
            *lines,
            b"Transfer-Encoding: chunked",
            body=b"1\r\nx\r\n0\r\nSidecar-Request: true\r\n\r\n",
        ),
        request(
            b"/v1/token/rejected", HOST, b"Transfer-Encoding: chunked", method=b"POST", body=b"0\r\nVia: x\r\n\r\n"
        ),
        request(b"localhost:80", *lines, method=b"CONNECT"),
        request(b"/nowhere", *lines),
        request(b"/v1/token/nobody", *lines),
        request(b"/v1/token", *lines, b"Host: localhost"),
        request(b"/v1/token", b"Host: evil.test", *lines[1:]),
        request(b"/v1/token", *lines, b"Origin: null"),
        request(b"/v1/token", *lines, b"Sec-Fetch-Site: cross-site"),
        request(b"/v1/token", *lines, b"Via: x"),
        request(b"/v1/token", *lines, b"Sidecar-Request: true"),
        request(b"http://evil.test/v1/token", *lines),
        request(b"/v1/token", *lines[:1]),
        request(b"/v1/token"),
        posted(b"/v1/token/rejected", b"application/json", REPORT, *lines),
        posted(b"/oauth/token", b"application/x-www-form-urlencoded", FORM, *lines),
        posted(b"/oauth/token", b"application/x-www-form-urlencoded", FORM, *lines, b"Expect: 100-continue"),
        b"\r\n" + request(b"/v1/token", *lines),
        request(b"/v1/token", *lines).replace(b"\r\n", b"\n"),
        request(b"/v1/token", *lines).replace(b"GET", b"G\x01T"),
        request(b"/v1/token", *lines).replace(b"GET", b"get"),
        b"\r\n\r\n",
    )


DROPPED_LINES = (
    b"traceparent: 00-" + TRACE + b"-" + SPAN + b"-01",
    b"TraceParent: 00-" + TRACE + b"-" + SPAN + b"-00",
    b"tracestate: a=1",
    b"baggage: k=v",
    b"b3: 0",
    b"X-B3-TraceId: " + TRACE,
    b"X-Request-Id: 1",
    b"X-Request-Id: 2",
    b"request-id: 1",
    b"X-Correlation-ID: 1",
    b"X-Trace-Id: 1",
    b"X-Amzn-Trace-Id: Root=1-5",
    b"X-Cloud-Trace-Context: 1/2;o=1",
    b"uber-trace-id: 1:2:0:1",
    b"sentry-trace: 1-2-1",
    b"User-Agent: curl/8.5.0 (x)",
)
"""Lines that make no difference to a request."""

TRACEPARENTS = (
    *DROPPED_LINES[:2],
    b"traceparent: 00-" + TRACE + b"-" + SPAN + b"-01-later",
    b"traceparent: cc-" + TRACE + b"-" + SPAN + b"-01-later",
    b"traceparent: ff-" + TRACE + b"-" + SPAN + b"-01",
    b"traceparent: 00-" + b"0" * 32 + b"-" + SPAN + b"-01",
    b"traceparent: 00-" + TRACE.upper() + b"-" + SPAN + b"-01",
    b"traceparent: 1",
    b"traceparent:00-" + TRACE + b"-" + SPAN + b"-01",
    b"traceparent:  00-" + TRACE + b"-" + SPAN + b"-01",
    b"traceparent: 00-" + TRACE + b"-" + SPAN + b"-01 ",
    b"traceparent: 00-" + TRACE + b"-" + SPAN + b"-01\r\n -later",
    b"traceparent:",
)
"""Header lines with a trace that is read, or is not."""

SIMILAR_LINES = (
    b"X-Request-Id : 1",
    b"X-Request-Id:1",
    b"X-Request-Id:  1",
    b"X-Request-Id: ",
    b"X-Request-Id: a b",
    b"X-Request-Id: \x01",
    b"X-Request-Id: \xe9",
    b"X-Request-Id: 1\r\n 2",
    b"X-Request-Id: 1\r\n\t2",
    b"X_Request_Id: 1",
    b"X-Request-Id-2: 1",
    b"X-Forwarded-For: 1",
    b"X_Real_IP: 1",
    b"Via: 1",
    b"Origin: b3",
    b"Host: localhost",
    b"Sec-Fetch-Site: none",
    b"b3",
    b": 1",
    b" b3: 1",
    b"\tuser-agent: x",
    b"User-Agent : x",
    b"User-Agent:x",
    b"User-Agent:  x",
    b"User-Agent: x\t",
    b"Content-Length: 0",
    b"Connection: b3, close",
    b"Accept: text/plain",
    b"If-None-Match: *",
    b"Sidecar-Request: no",
    b"Authorization: Bearer b3",
)
"""Lines that resemble those, and that make a difference or that parsers read in different ways."""
