"""What is no HTTP/1.0 or 1.1: it is refused once, the connection ends, and nothing behind it is a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.integration.raw_requests.common_requests import AGENT, HOST, KNOWN, OTHER, REQUIRED, UNREADABLE, USUAL, head
from tests.integration.raw_requests.conversation import HALF_CLOSE, READ, Conversation, Segment, family


def _line(line: bytes) -> bytes:
    return head(line, *USUAL)


_SERVER_NAME = b"\x00\x00\x00\x10\x00\x0e\x00\x00\x0bCANARY.test"
_EXTENSIONS = len(_SERVER_NAME).to_bytes(2, "big") + _SERVER_NAME
_HELLO = b"\x03\x03" + bytes(range(32)) + b"\x00\x00\x02\x13\x01\x01\x00" + _EXTENSIONS
_HANDSHAKE = b"\x01" + len(_HELLO).to_bytes(3, "big") + _HELLO
TLS_CLIENT_HELLO = b"\x16\x03\x01" + len(_HANDSHAKE).to_bytes(2, "big") + _HANDSHAKE
_PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x10\x00\x20\x00"

SENT: Mapping[str, bytes] = {
    "TLS client hello": TLS_CLIENT_HELLO,
    "TLS client hello of SSL 2": b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10CANARY" + b"\x01" * 20,
    "RTSP/1.0": _line(b"GET /v1/token RTSP/1.0"),
    "RTSP/1.0, its own target": _line(b"DESCRIBE rtsp://localhost/CANARY RTSP/1.0"),
    "ICE/1.0": _line(b"GET /v1/token ICE/1.0"),
    "SIP/2.0": _line(b"OPTIONS sip:CANARY@localhost SIP/2.0"),
    "method in small letters": _line(b"get /v1/token HTTP/1.1"),
    "method in mixed letters": _line(b"Get /v1/token HTTP/1.1"),
    "HTTP/0.9": b"GET /v1/token\r\n",
    "HTTP/0.9 with an empty line": b"GET /CANARY\r\n\r\n",
    "HTTP/0.9 that says so": _line(b"GET /v1/token HTTP/0.9"),
    "HTTP/1.2": _line(b"GET /v1/token HTTP/1.2"),
    "HTTP/1.10": _line(b"GET /v1/token HTTP/1.10"),
    "HTTP/1": _line(b"GET /v1/token HTTP/1"),
    "HTTP/2.0": _line(b"GET /v1/token HTTP/2.0"),
    "HTTP/3.0": _line(b"GET /v1/token HTTP/3.0"),
    "version in small letters": _line(b"GET /v1/token http/1.1"),
    "no version": _line(b"GET /v1/token "),
    "two versions": _line(b"GET /v1/token HTTP/1.1 HTTP/1.1"),
    "two spaces": _line(b"GET  /v1/token HTTP/1.1"),
    "tabs": _line(b"GET\t/v1/token\tHTTP/1.1"),
    "no target": _line(b"GET HTTP/1.1"),
    "a response": head(b"HTTP/1.1 200 OK", b"Content-Length: 0", AGENT),
    "SMTP": b"HELO CANARY.test\r\n",
    "SMTP, extended": b"EHLO CANARY.test\r\nMAIL FROM:<CANARY@CANARY.test>\r\n",
    "Redis": b"PING\r\n",
    "Redis, as an array": b"*1\r\n$4\r\nPING\r\n",
    "Redis with a secret": b"AUTH CANARY\r\n",
    "memcached": b"get CANARY\r\n",
    "FTP": b"USER CANARY\r\nPASS CANARY\r\n",
    "SSH": b"SSH-2.0-CANARY\r\n",
    "PROXY version 1": b"PROXY TCP4 127.0.0.1 127.0.0.1 4096 8181\r\n",
    "PROXY version 1, unknown": b"PROXY UNKNOWN\r\n",
    "PROXY version 2": _PROXY_V2,
    "JSON": b'{"CANARY": 1}\r\n',
    "a null byte": b"\x00",
    "a byte order mark": b"\xef\xbb\xbf" + _line(b"GET /v1/token HTTP/1.1"),
}
"""Each is refused as soon as its first line is whole, or holds what no line may hold."""

_DOUBLED = {
    "two hosts": head(b"GET /v1/token HTTP/1.1", HOST, HOST, REQUIRED, AGENT),
    "no host": head(b"GET /v1/token HTTP/1.1", REQUIRED, AGENT),
}


def _conversations() -> Iterator[tuple[str, Conversation]]:
    for name, data in [*SENT.items(), *_DOUBLED.items()]:
        sent = Segment(data, UNREADABLE)
        yield name, Conversation.of(sent, plays=1)
        yield f"{name}, half-closed", Conversation.of(sent, HALF_CLOSE, plays=1)
        yield f"{name}, a known request behind", Conversation.of(sent + KNOWN, plays=1)
        yield f"{name}, a known request in a later segment", Conversation.of(sent, KNOWN, plays=1)
        yield f"{name}, after a known request", Conversation.of(KNOWN, READ, sent, plays=1)
        yield f"{name}, between known requests", Conversation.of(KNOWN + OTHER + sent + KNOWN, plays=1)


OTHER_PROTOCOLS = family(_conversations())
