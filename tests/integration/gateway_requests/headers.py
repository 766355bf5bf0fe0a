"""The headers of a request: what is the sidecar's, the guards' or the connection's does not pass, the rest does."""

from __future__ import annotations

from collections.abc import Iterator

from tests.integration.gateway_requests.cases import (
    NOT_ALLOWED,
    PATH,
    UNREADABLE,
    USUAL,
    Case,
    Family,
    head,
    post,
    with_headers,
)

_OF_THE_SIDECAR = (
    b"AccessToken: Bearer app", b"accesstoken: app", b"ACCESSTOKEN: app", b"X-SIGNATURE: app", b"x-signature: app",
    b"X_SIGNATURE: app", b"x_Signature: app", b"X-TIMESTAMP: 2000-01-01T00:00:00Z", b"X_TIMESTAMP: app",
    b"Sidecar-Token: app", b"Sidecar_Token: app", b"Sidecar-Anything: app", b"sidecar_request: true",
    b"Content_Length: 5",
    b"Transfer_Encoding: chunked", b"Proxy-Authorization: Basic app", b"Proxy_Authorization: app",
    b"Sec-Fetch-Site: none", b"Sec_Fetch_Mode: app", b"Sec-Fetch-Dest: app", b"X.SIGNATURE: app", b"X~TIMESTAMP: app",
)  # fmt: skip
_HOP_BY_HOP = (
    b"Keep-Alive: timeout=5", b"Keep_Alive: x", b"Proxy-Connection: keep-alive", b"TE: trailers",
    b"Trailer: X-SIGNATURE",
    b"Trailer: AccessToken", b"Proxy-Authenticate: x", b"Connection: keep-alive", b"Connection: x, y,, z",
    b"Connection: AccessToken", b"Connection: accesstoken, X-SIGNATURE, x_timestamp", b"Connection: Content-Length",
    b"Connection: Host", b"Connection: Via", b"Connection:", b"Connection: ,",
    b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA", b"Expect: 100-continue",
)  # fmt: skip
_OVERRIDES = (
    b"X-HTTP-Method-Override: DELETE", b"X-HTTP-Method: PUT", b"X_HTTP_METHOD_OVERRIDE: PUT", b"X-Method-Override: PUT",
    b"X-Original-URL: /api/pay1st/auth/token", b"X-Rewrite-URL: /api/pay1st/auth/token", b"x-original-method: POST",
    b"X_Original_URL: /", b"X-Original-Host: evil.test",
)  # fmt: skip
_PASS = (
    b"Accept: */*", b"accept-ENCODING: gzip, br", b"Content-Type: application/vnd.carry1st.payments.payment+json",
    b"Cookie: a=b; c=d", b"User-Agent: app/1", b"X-SIGNATURES: app", b"X-TIMESTAMPS: app", b"AccessTokens: app",
    b"Access-Token: app",
    b"X-Request-Id: 1", b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"If-None-Match: \"x\"",
    b"Range: bytes=0-9", b"X-Empty: ", b"X-Tab: a\tb", "X-Text: é".encode(), b"X-Colon: a: b",
    b"X-Long: " + b"x" * 2000,
    b"Content-Encoding: gzip", b"X_Under: 1", b"Set-Cookie: a=b", b"Status: 500",
    b"Date: x", b"Server: x",
)  # fmt: skip
_FORWARDED = (
    b"Via: 1.1 app", b"via: x", b"X-Forwarded-For: 1.2.3.4", b"X_Forwarded_Host: x", b"x-forwarded-anything: x",
    b"Forwarded: for=1.2.3.4", b"X-Real-IP: 1.2.3.4", b"X_Real_IP: 1.2.3.4", b"x-real_ip: x",
)  # fmt: skip
_MALFORMED = (
    b"X: a\x00b", b"X: a\x01b", b"X: a\x08", b"X: a\x0bb", b"X: a\x0cb", b"X: a\x1b[0m", b"X: a\x7f",
    b"X: a\nY: b", b"X: a\rY: b",
    b"X: a\r\n Y: b", b"X: a\r\n\tY: b", b" X: a", b"\tX: a", b"X : a", b"X\t: a", b": a", b"X", b"X\x00: a",
    b"X\x80: a", b"X(a): b",
    b"AccessToken : app", b"X@y: a", b"X y: a", "É: a".encode(), b"X: a\n\nGET / HTTP/1.1", b"[X]: a", b'"X": a',
    b"X/: a", b"\x00X: a",
)  # fmt: skip
_UPGRADES = (b"websocket", b"WebSocket", b"h2c, websocket", b"websocket/13")


def _lines() -> Iterator[tuple[str, Case]]:
    for line in (*_OF_THE_SIDECAR, *_HOP_BY_HOP, *_OVERRIDES):
        yield f"does not pass: {line!r}", with_headers(line)
        yield f"does not pass, twice: {line!r}", with_headers(line, line)
    for line in _PASS:
        yield f"passes: {line[:60]!r}", with_headers(line, kept=(line,))
    for name, lines in (("forwards", _PASS), ("backwards", _PASS[::-1])):
        yield f"pass in their order, {name}", with_headers(*lines, kept=lines)
    yield "pass twice", with_headers(b"X-A: 1", b"X-B: 2", b"x-a: 1", kept=(b"X-A: 1", b"X-B: 2", b"x-a: 1"))
    for line in _FORWARDED:
        yield f"forwarded: {line!r}", with_headers(line, expected="403 forwarded-request")
    for line in _MALFORMED:
        yield f"malformed: {line!r}", with_headers(line, expected=UNREADABLE)
    for line in (b"X: a\xffb", b"X: \xc3", b"X: \xed\xa0\x80", b"X: \xc0\xae"):
        yield f"no UTF-8: {line!r}", with_headers(line, expected="400 bad-request")
    for line in (b"Sidecar-Request: true", b"sidecar-request: false"):
        yield f"required header twice: {line!r}", with_headers(line, expected="403 header-required")
    for line in (b"Origin: http://localhost", b"Sec-Fetch-Site: cross-site"):
        yield f"of a page: {line!r}", with_headers(line, expected="403 caller-not-allowed")
    yield "two hosts", with_headers(b"Host: localhost", expected=UNREADABLE)
    yield "two caller tokens", with_headers(USUAL[2], expected="401 caller-not-allowed")


def _nominated() -> Iterator[tuple[str, Case]]:
    for option in (b"X-App", b"x-app", b"X_App", b"close-not, X-App", b"X-App\r\nConnection: y"):
        yield f"nominated: {option!r}", with_headers(b"Connection: " + option, b"X-App: 1", b"X_APP: 2")
    yield "nominated before its place", with_headers(b"X-App: 1", b"Connection: x-app")
    yield "not nominated", with_headers(b"Connection: X-Ap", b"X-App: 1", kept=(b"X-App: 1",))
    post_of = b"Content-Length: 3"
    for option in (b"Content-Length", b"X-SIGNATURE", b"X-TIMESTAMP, AccessToken", b"Transfer-Encoding"):
        expected = 'POST /api/pay1st/payments/create "abc"'
        yield f"nominated in a POST: {option!r}", post(b"abc", b"Connection: " + option, post_of, expected=expected)


def _upgrades() -> Iterator[tuple[str, Case]]:
    sent = "GET /api/pay1st/payments close"
    settings = (b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
    # As Java's HttpClient asks: the request is answered as if it had not.
    yield "h2c", with_headers(b"Upgrade: h2c", *settings, expected=sent)
    yield "h2c without Connection", with_headers(b"Upgrade: h2c", expected=sent)
    yield "TLS", with_headers(b"Upgrade: TLS/1.0", b"Connection: Upgrade", expected=sent)
    for protocol in _UPGRADES:
        asked = (b"Upgrade: " + protocol, b"Connection: Upgrade", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        yield f"{protocol.decode()}", with_headers(*asked, expected=f"{NOT_ALLOWED} close")
    lines = (b"Upgrade: h2c", b"Upgrade: websocket", b"Connection: Upgrade")
    yield "websocket in a second line", with_headers(*lines, expected=f"{NOT_ALLOWED} close")


def _others() -> Iterator[tuple[str, Case]]:
    line = b"GET " + PATH + b" HTTP/1.1"
    yield "no caller token", Case(head(line, usual=USUAL[:2]), ("401 caller-not-allowed",))
    yield "no required header", Case(head(line, usual=(USUAL[0], USUAL[2])), ("403 header-required",))
    yield "no host", Case(head(line, usual=USUAL[1:]), (UNREADABLE,))
    for host in (b"evil.test", b"localhost.evil.test", b"localhost@evil.test", b"", b"localhost/", b"localhost:x"):
        yield f"host {host!r}", Case(head(line, usual=(b"Host: " + host, *USUAL[1:])), ("403 host-not-allowed",))
    for version in (b"HTTP/1.0", b"HTTP/1.1"):
        once = head(b"GET " + PATH + b" " + version, b"Connection: close")
        yield f"{version.decode()}, close", Case(once, ("GET /api/pay1st/payments close",))
    yield "HTTP/1.0", Case(head(b"GET " + PATH + b" HTTP/1.0"), ("GET /api/pay1st/payments close",))
    kept = head(b"GET " + PATH + b" HTTP/1.0", b"Connection: keep-alive")
    yield "HTTP/1.0, kept", Case(kept, ("GET /api/pay1st/payments",))
    for wrong in (b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 x", b"HTTP/01.1", b"", b"HTTP/1.1\n"):
        yield f"version {wrong!r}", Case(head(b"GET " + PATH + b" " + wrong), (UNREADABLE,))
    body = Case(head(line, b"Content-Length: 3") + b"abc", ('GET /api/pay1st/payments "abc"',))
    yield "GET with a body", body
    chunks = head(line, b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n"
    yield "GET with a chunked body", Case(chunks, ('GET /api/pay1st/payments "abc" close',))
    yield "GET with a length of zero", with_headers(b"Content-Length: 0")
    expecting = (b"Expect: 100-continue", b"Content-Length: 3")
    yield "100-continue", post(b"abc", *expecting, expected='POST /api/pay1st/payments/create "abc"')
    long = b"x" * 1_048_577
    yield "too long", post(long, b"Content-Length: %d" % len(long), expected="413 payload-too-large")


HEADERS: Family = dict([*_lines(), *_nominated(), *_upgrades(), *_others()])
