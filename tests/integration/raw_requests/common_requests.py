"""The requests that conversations are made of. Two in a row get different responses."""

from __future__ import annotations

from tests.integration.raw_requests.conversation import Expected, Segment, expect, expect_everywhere

HOST, REQUIRED, AGENT = b"Host: localhost", b"Sidecar-Request: true", b"User-Agent: CANARY"
USUAL = (HOST, REQUIRED, AGENT)
"""The header lines of a client that passes every guard."""
ALL_READY = "200 ready default other"
TOKEN = expect("200 token default", ALL_READY)
UNREADABLE = expect_everywhere("400 bad-request close")
TOO_LARGE = expect_everywhere("431 bad-request close")
REFUSED_BODY = expect("400 bad-request", "405 method-not-allowed")
"""The response to a report with a body that is not valid."""


def head(line: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


def get(path: bytes, vending: str, admin: str, *fields: bytes, unix: str = "") -> Segment:
    """A request with the usual header lines and these."""
    return Segment(head(b"GET " + path + b" HTTP/1.1", *USUAL, *fields), (expect(vending, admin, unix=unix),))


def post(path: bytes, media_type: bytes, body: bytes, answered: Expected, *, length: int = -1) -> Segment:
    """`length` is announced in place of the body's own."""
    announced = b"Content-Length: %d" % (len(body) if length < 0 else length)
    line = b"POST " + path + b" HTTP/1.1"
    return Segment(head(line, *USUAL, b"Content-Type: " + media_type, announced) + body, (answered,))


def chunked(path: bytes, media_type: bytes, body: bytes, answered: Expected, *trailer: bytes) -> Segment:
    """The body in one chunk, then the trailer's lines. It ends its connection."""
    line = b"POST " + path + b" HTTP/1.1"
    fields = (*USUAL, b"Content-Type: " + media_type, b"Transfer-Encoding: chunked")
    end = b"\r\n".join([b"0", *trailer, b"", b""])
    return Segment(head(line, *fields) + b"%x\r\n%s\r\n" % (len(body), body) + end, (answered.as_last(),))


KNOWN = Segment(head(b"GET /v1/token HTTP/1.1", *USUAL), (TOKEN,))
"""The request that the fast path knows: `checks.check` sends it before each conversation."""
OTHER = get(b"/v1/token/other", "200 token other", "200 ready other")
TEXT = get(b"/v1/token", "200 text default", ALL_READY, b"Accept: text/plain")
CONDITIONAL = get(b"/v1/token", "304 empty default", ALL_READY, b"If-None-Match: *")
AUTHORIZE = get(b"/v1/authorize", "200 header default", "404 not-found")
UNKNOWN_PROFILE = get(b"/v1/token/CANARY", "404 unknown-profile", "404 unknown-profile")
UNKNOWN_PATH = get(b"/CANARY", "404 not-found", "404 not-found")
BARE = Segment(head(b"GET /v1/token HTTP/1.1", HOST, AGENT), (expect("403 header-required", ALL_READY),))
NO_HOST = Segment(head(b"GET /v1/token HTTP/1.1", REQUIRED, AGENT), UNREADABLE)
FOREIGN_HOST = Segment(
    head(b"GET /v1/token HTTP/1.1", b"Host: CANARY.test", REQUIRED, AGENT),
    (expect("403 host-not-allowed", ALL_READY, unix="200 token default"),),
)
LAST = KNOWN.with_line(b"Connection: close").expecting(TOKEN.as_last())

JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
REPORT_BODY, GRANT_BODY = b'{"tokenId": "CANARY"}', b"grant_type=client_credentials&scope=CANARY"
REPORTED = expect("202 already-replaced", "405 method-not-allowed")
GRANTED = expect("200 grant default", "404 not-found")
REPORT = post(b"/v1/token/rejected", JSON, REPORT_BODY, REPORTED)
GRANT = post(b"/oauth/token", FORM, GRANT_BODY, GRANTED)
