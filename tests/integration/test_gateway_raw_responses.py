"""Raw responses of the partner: the app gets one well-formed response or an error, and the next response is its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from sidecar.gateway import handler
from tests.integration.gateway_requests.cases import AFTER, PATH, get
from tests.integration.gateway_requests.checks import Connection, check_received
from tests.integration.gateway_requests.service import SECRETS, RunningGateway, caller_token_file, running_gateway

_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [^\x00\r\n]*")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([^\x00\r\n]*)")
_UNKNOWN, _BROKEN = "504 partner-outcome-unknown", "200 cut off"
"""A broken body is one or the other: it depends on whether its end came before the head was passed on."""
_OK = b"HTTP/1.1 200 OK\r\n"
_ABC, _CHUNKED = b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"
_CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"

RESPONSES: dict[str, tuple[bytes, str]] = {
    "length": (_OK + _ABC + b"\r\nabc", '200 "abc"'),
    "chunked": (_OK + _CHUNKED + b"\r\n" + _CHUNKS, '200 "abc"'),
    "neither": (_OK + b"\r\nabc", '200 "abc"'),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nabc", '200 "abc"'),
    "two equal lengths": (_OK + _ABC * 2 + b"\r\nabc", _UNKNOWN),
    "two lengths": (_OK + _ABC + b"Content-Length: 4\r\n\r\nabc", _UNKNOWN),
    "length and chunked": (_OK + _ABC + _CHUNKED + b"\r\n" + _CHUNKS, _UNKNOWN),
    "chunked and length": (_OK + _CHUNKED + _ABC + b"\r\n" + _CHUNKS, _UNKNOWN),
    "identity": (_OK + b"Transfer-Encoding: identity\r\n\r\nabc", '200 "abc"'),
    "gzip, chunked": (_OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + _CHUNKS, _UNKNOWN),
    "gzip and chunked in two lines": (_OK + b"Transfer-Encoding: gzip\r\n" + _CHUNKED + b"\r\n" + _CHUNKS, _UNKNOWN),
    # The sidecar writes its own, or chunks.
    "a space before the colon of the length": (_OK + b"Content-Length : 3\r\n\r\nabc", '200 "abc"'),
    "a space before the colon of another length": (_OK + _ABC + b"Content-Length : 9\r\n\r\nabc", _UNKNOWN),
    "a space before the colon of the coding": (_OK + b"Transfer-Encoding : chunked\r\n\r\n" + _CHUNKS, '200 "abc"'),
    "underscores": (_OK + _ABC + b"Transfer_Encoding: chunked\r\nSidecar_Answer: x\r\n\r\nabc", '200 "abc"'),
    "marks of ours": (_OK + _ABC + b"Sidecar-Answer: sidecar\r\nSidecar-Attempts: 9\r\n\r\nabc", '200 "abc"'),
    "nominated length": (_OK + _ABC + b"Connection: Content-Length\r\n\r\nabc", '200 "abc"'),
    "a fold": (_OK + _ABC + b"X: a\r\n b\r\n\r\nabc", '200 "abc"'),
    "a return in a header": (_OK + _ABC + b"X: a\rSet-Cookie: b\r\n\r\nabc", _UNKNOWN),
    "a line feed in a header": (_OK + _ABC + b"X: a\nSet-Cookie: b\r\n\r\nabc", '200 "abc"'),
    "a null in a header": (_OK + _ABC + b"X: a\x00b\r\n\r\nabc", _UNKNOWN),
    "line feeds alone": (b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", '200 "abc"'),
    "a return in the reason": (b"HTTP/1.1 200 O\rK\r\n" + _ABC + b"\r\nabc", _UNKNOWN),
    "no reason": (b"HTTP/1.1 200\r\n" + _ABC + b"\r\nabc", '200 "abc"'),
    "a second response behind": (_OK + _ABC + b"\r\nabc" + _OK + _ABC + b"\r\nxyz", '200 "abc"'),
    "longer than its length": (_OK + _ABC + b"\r\nabcdef", _UNKNOWN),
    "shorter than its length": (_OK + _ABC + b"\r\nab", _UNKNOWN),
    "chunks cut off": (_OK + _CHUNKED + b"\r\n3\r\nab", _BROKEN),
    "no chunks": (_OK + _CHUNKED + b"\r\nabc\r\n", _BROKEN),
    "a long one cut off": (_OK + b"Content-Length: 200000\r\n\r\nabc", _BROKEN),
    "trailers": (_OK + _CHUNKED + b"\r\n3\r\nabc\r\n0\r\nX: 1\r\nSidecar-Answer: x\r\n\r\n", '200 "abc"'),
    "a length as trailer": (_OK + _CHUNKED + b"\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n", _UNKNOWN),
    "chunk extensions": (_OK + _CHUNKED + b"\r\n3;a=b\r\nabc\r\n0\r\n\r\n", '200 "abc"'),
    "204 with a body": (b"HTTP/1.1 204 No Content\r\n" + _ABC + b"\r\nabc", _UNKNOWN),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", '204 ""'),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\n" + _ABC + b"\r\n", '304 ""'),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", _UNKNOWN),
    "103, then 200": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + _OK + _ABC + b"\r\nabc", '200 "abc"'),
    "no HTTP": (b"abc\r\n\r\n", _UNKNOWN),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\n" + _ABC + b"\r\nabc", '200 "abc"'),
    "status of two digits": (b"HTTP/1.1 99 OK\r\n" + _ABC + b"\r\nabc", _UNKNOWN),
    "status of four digits": (b"HTTP/1.1 2000 OK\r\n" + _ABC + b"\r\nabc", _UNKNOWN),
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with running_gateway(folder, CALLER_TOKEN_FILE=caller_token_file(folder)) as running:
        yield running


@pytest.mark.parametrize("name", RESPONSES)
def test_the_app_gets_one_response_and_the_next_is_its_own(gateway: RunningGateway, name: str) -> None:
    check(gateway, name)


@pytest.mark.parametrize("name", ["a space before the colon of the length", "marks of ours", "chunked"])
def test_headers_that_pass_unread_are_found(gateway: RunningGateway, name: str) -> None:
    with patch.object(handler, "for_app", iter), pytest.raises(AssertionError):
        check(gateway, name)


def check(gateway: RunningGateway, name: str) -> None:
    gateway.partner.raw, expected = RESPONSES[name]
    before = len(gateway.partner.received)
    with Connection(gateway, ()) as connection:
        connection.send(get(PATH).data + AFTER)
        stream = connection.read_to_end()
    first, *after = _responses(stream)
    assert first in ((_UNKNOWN, _BROKEN) if expected == _BROKEN else (expected,)), stream
    assert after == ([] if first == _BROKEN else ['200 "received"']), stream
    check_received(gateway, gateway.partner.received[before:])
    for secret in SECRETS:
        assert secret.encode() not in stream


def _responses(stream: bytes) -> Iterator[str]:
    """Read as strictly as HTTP allows. Yields status and body, or code, or `cut off` where the connection ended."""
    while stream:
        head, end, stream = stream.partition(b"\r\n\r\n")
        line, *lines = head.split(b"\r\n")
        started, fields = _STATUS.fullmatch(line), [_FIELD.fullmatch(one) for one in lines]
        assert end, head
        assert started, head
        assert None not in fields, head
        named = [(one[1].lower().replace(b"_", b"-"), one[2]) for one in fields if one]
        lengths = [value for name, value in named if name == b"content-length"]
        codings = [value for name, value in named if name == b"transfer-encoding"]
        assert len(lengths) + len(codings) <= 1, head
        assert [name for name, _ in named].count(b"sidecar-answer") == 1, head
        closes = (b"connection", b"close") in named
        if started[1] in (b"204", b"304"):
            body: bytes | None = b""
        elif codings:
            body, stream = _chunks(stream)
        elif lengths:
            length = int(lengths[0])
            body, stream = stream[:length] if len(stream) >= length else None, stream[length:]
        else:
            assert closes, head
            body, stream = stream, b""
        status = started[1].decode()
        if body is None:
            yield f"{status} cut off"
            return
        is_error = (b"sidecar-answer", b"sidecar") in named
        said = json.loads(body)["code"] if is_error else f'"{body.decode("latin-1")}"'
        yield f"{status} {said}" + (" close" if closes else "")


def _chunks(stream: bytes) -> tuple[bytes | None, bytes]:
    body = b""
    while size := re.match(rb"([0-9a-f]+)\r\n", stream):
        length, stream = int(size[1], 16), stream[size.end() :]
        if stream[length : length + 2] != b"\r\n":
            break
        body, stream = body + stream[:length], stream[length + 2 :]
        if length == 0:
            return body, stream
    return None, b""
