"""The request target's own reading of requests and responses: it is strict, and ambiguous data is unreadable."""

from __future__ import annotations

import pytest

from tests.fuzz.answers_read import answers_read
from tests.fuzz.findings import FindingError
from tests.fuzz.requests_read import requests_read

ASKING = b"Host: localhost\r\nSidecar-Request: true\r\n"


def earns(head: bytes) -> bool:
    (found,) = requests_read(b"GET /v1/token HTTP/1.1\r\n" + head + b"\r\n")
    return found.is_direct and found.has_header


@pytest.mark.parametrize(
    "host",
    [
        b"localhost", b"LOCALHOST:8181", b"127.0.0.1", b"127.2.0.1:1", b"localhost.", b"[::1]:1", b"[0:0:0:0:0:0:0:1]",
    ],
)  # fmt: skip
def test_a_valid_request_may_get_a_token(host: bytes) -> None:
    assert earns(b"host: " + host + b"\r\nsidecar-request:  TRUE \r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"", b"Host: localhost\r\n", b"Sidecar-Request: true\r\n", ASKING + b"Host: localhost\r\n",
        ASKING + b"Sidecar-Request: true\r\n", b"Host: localhost.evil.test\r\nSidecar-Request: true\r\n",
        b"Host: localhost\r\nSidecar-Request: yes\r\n", ASKING + b"x-Forwarded_FOR: 1\r\n", ASKING + b"Forwarded:\r\n",
        ASKING + b"X_real_ip: 1\r\n", ASKING + b"X-Forwarded-Host: a\r\n",
    ],
)  # fmt: skip
def test_an_invalid_request_may_not_get_a_token(head: bytes) -> None:
    assert not earns(head)


@pytest.mark.parametrize(
    "head", [b"X_Forwarded-Port: 1\r\n", b"VIA: a\r\n", b"Sec-Fetch-Site: cross-site\r\n", b"Content-Length: 1\r\n"]
)
def test_requests_with_headers_of_proxies_or_pages_or_with_a_body_may_not_get_a_token(head: bytes) -> None:
    assert not earns(ASKING + head)


@pytest.mark.parametrize(
    "sent",
    [b"GET /\r\n", b"GET / HTTP/1.1\r\nA : b\r\n\r\n", b"GET / HTTP/1.1\r\n a: b\r\n\r\n", b"GET / FTP/1.1\r\n\r\n",
     b"GET / HTTP/1.1\r\nA: \x01\r\n\r\n", b"G\x01T / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\nHost: localhost\n\n"],
)  # fmt: skip
def test_an_ambiguous_request_is_no_request(sent: bytes) -> None:
    assert list(requests_read(sent)) == []


def test_a_request_begins_after_the_body_of_the_previous_one() -> None:
    sent = (
        b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\r\nPOST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nde\r\n1\r\nf\r\n0\r\n\r\nGET /c HTTP/1.1\r\n\r\n"
    )
    assert [(one.target, one.body) for one in requests_read(sent)] == [("/a", b"abc"), ("/b", b"def"), ("/c", b"")]


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 9", b"Content-Length: 1\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked",
        b"Content-Length: 1\r\nContent-Length: 1",
    ],
)  # fmt: skip
def test_nothing_is_read_after_a_body_with_an_ambiguous_end(fields: bytes) -> None:
    sent = b"POST /a HTTP/1.1\r\n" + fields + b"\r\n\r\nx GET /b HTTP/1.1\r\n\r\n"
    assert [one.target for one in requests_read(sent)] == ["/a"]


def test_responses_are_read_one_after_the_other() -> None:
    sent = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHTTP/1.1 204 No Content\r\nA: b\r\n\r\n"
    )
    found = [(one.status, one.body) for one in answers_read(sent)]
    assert found == [(200, b"ok"), (200, b""), (204, b"")], "the second answers HEAD"


@pytest.mark.parametrize(
    "sent",
    [b"HTTP/1.1 200 OK\r\n", b"ok", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
     b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: \x80\r\n\r\n"],
)  # fmt: skip
def test_bytes_that_are_no_response_are_found(sent: bytes) -> None:
    with pytest.raises(FindingError):
        list(answers_read(sent))
