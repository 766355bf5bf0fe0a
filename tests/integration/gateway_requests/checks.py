"""Plays what an app sends to a gateway, and what must hold whatever it sends."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
import socket
from collections.abc import Iterable, Sequence
from typing import Self
from urllib.parse import unquote

from tests.fuzz.requests_read import requests_read
from tests.integration.gateway_requests.cases import AFTER, AFTER_TEXT, CLOSES, KEPT, Case
from tests.integration.gateway_requests.partner import TOKEN, Received, folded
from tests.integration.gateway_requests.service import SECRETS, SIGNING_KEY, RunningGateway
from tests.integration.raw_requests.responses import Response, read_responses
from tests.support.replica import HANG_S

_GONE = (BrokenPipeError, ConnectionResetError)
_OURS = (b"accesstoken", b"x-timestamp", b"x-signature", b"via", b"host", b"content-length")
_NEVER = (
    b"Authorization", b"Connection", b"Keep-Alive", b"Proxy-Connection", b"Proxy-Authorization", b"TE", b"Trailer",
    b"Transfer-Encoding", b"Upgrade", b"HTTP2-Settings", b"Expect", b"Origin", b"Forwarded", b"X-Real-IP",
    b"Sidecar-Request", b"Sidecar-Token",
)  # fmt: skip
_AUTHENTICATION = re.compile(r"/api/(pay1st|distributors)/auth(/|$)")


def check_case(gateway: RunningGateway, case: Case) -> None:
    """Play it alone, with a request directly behind it, with one in a later segment, and in small pieces."""
    # What follows a request that ends its connection is no request.
    behind = () if case.expected[-1].endswith(CLOSES) else (AFTER_TEXT,)
    for segments, expected in (
        ([case.data], case.expected),
        ([case.data + AFTER], (*case.expected, *behind)),
        ([case.data, AFTER], (*case.expected, *behind)),
        ([*_pieces(case.data), AFTER], (*case.expected, *behind)),
    ):
        described, received = play(gateway, segments, len(expected))
        assert described == list(expected), f"{described} in place of {list(expected)} to {segments}"
        for request in received:
            if str(request) != AFTER_TEXT:
                # aiohttp writes the names of common headers in its own way.
                others = [(name.lower(), value) for name, value in request.fields if folded(name) not in _OURS]
                assert others == [(name.lower(), value) for name, value in (KEPT, *case.kept)], others


def play(gateway: RunningGateway, segments: Sequence[bytes], count: int) -> tuple[list[str], list[Received]]:
    """Send the segments, read `count` responses, and read to the end. Returns as `check_stream`."""
    before = len(gateway.partner.received)
    heads = [request.method == "HEAD" for request in requests_read(b"".join(segments))]
    with Connection(gateway, heads) as connection:
        for segment in segments:
            connection.send(segment)
        connection.read(count)
        stream = connection.read_to_end()
    return check_stream(gateway, stream, before, heads)


def check_stream(
    gateway: RunningGateway, stream: bytes, before: int, heads: Sequence[bool]
) -> tuple[list[str], list[Received]]:
    """Read what an app got, and compare it with what the partner received from its place `before` on.

    Returns the responses described, and what the partner received. A response of the partner is described by the
    request that the partner received, one of the sidecar by its status and code. Fails where a request is on its way
    without a response to it, or is not one that may be sent.
    """
    responses, rest = _read(stream, heads)
    assert not rest, f"a response is cut off: {rest!r}"
    received = gateway.partner.received[before:]
    answered = [int(one.fields["received"]) for one in responses if "received" in one.fields]
    assert answered == list(range(before, before + len(received))), f"{received} do not belong to {stream!r}"
    check_received(gateway, received)
    for secret in SECRETS:
        assert secret.encode() not in stream, "a response shows a secret"
    assert not gateway.log.faults, gateway.log.faults
    return [_describe(one, gateway) for one in responses], received


def check_received(gateway: RunningGateway, received: Iterable[Received]) -> None:
    """Fail unless each is one that the gateway may send: one token, one signature, one framing, on the list."""
    assert not gateway.partner.faults, gateway.partner.faults
    for request in received:
        assert request.values(b"AccessToken") == [f"Bearer {TOKEN}".encode()], request
        assert request.values(b"Via") == [b"1.1 token-sidecar"], request
        assert request.values(b"Host") == [gateway.partner.authority.encode()], request
        for name in _NEVER:
            assert not request.values(name), (name, request)
        for _, value in request.fields:
            assert not any(secret.encode() in value for secret in SECRETS if secret != TOKEN), request
        _check_signature(request)
        _check_target(request.target)


def _check_signature(request: Received) -> None:
    times, signatures = request.values(b"X-TIMESTAMP"), request.values(b"X-SIGNATURE")
    if request.method in ("GET", "HEAD") and not request.body:
        assert not times, request
        assert not signatures, request
        return
    ((time,), (signature,)) = times, signatures
    made = hmac.new(SIGNING_KEY.encode(), time + request.body, hashlib.sha256).hexdigest()
    assert signature.decode() == made, request


def _check_target(target: str) -> None:
    """By a second reading: no path of authentication in any reading, and nothing that servers read differently."""
    path = target.partition("?")[0]
    for _ in range(3):
        assert not _AUTHENTICATION.match(path.lower()), target
        assert not re.search(r"//|/\.{1,2}(/|$)|[;\\#\x00-\x1f\x7f]", path), target
        path = unquote(path)


def _describe(response: Response, gateway: RunningGateway) -> str:
    by, attempts = response.fields["sidecar-answer"], response.fields["sidecar-attempts"]
    if "received" in response.fields:
        assert (by, attempts, response.status) == ("partner", "1", 200), response.raw
        said = str(gateway.partner.received[int(response.fields["received"])])
    else:
        assert (by, attempts) == ("sidecar", "0"), response.raw
        said = f"{response.status} {json.loads(response.body)['code'] if response.body else 'empty'}"
    return said + (CLOSES if response.closes else "")


class Connection:
    """An app's connection to the gateway. `heads`: which of its requests are HEAD, whose responses have no body."""

    def __init__(self, gateway: RunningGateway, heads: Sequence[bool]) -> None:
        self._gateway = gateway
        self._heads = heads
        self._stream = b""
        self._ended = False

    def __enter__(self) -> Self:
        address = self._gateway.address
        self._sock = socket.create_connection((address.host, address.port), HANG_S)
        # Segments are sent at once, also those behind another one.
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, data: bytes) -> None:
        """Send it, and wait until it was read. A sidecar that has closed receives nothing more."""
        with contextlib.suppress(*_GONE):
            self._sock.sendall(data)
        self._gateway.loop.settle()

    def read(self, count: int) -> None:
        """Read until there are so many responses, or until the end."""
        while not self._ended and len(_read(self._stream, self._heads)[0]) < count:
            self._receive()

    def half_close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def read_to_end(self) -> bytes:
        """Close the writing side, read what is left, and return all that was read."""
        self.half_close()
        while not self._ended:
            self._receive()
        return self._stream

    def _receive(self) -> None:
        try:
            piece = self._sock.recv(65_536)
        except ConnectionResetError:
            piece = b""
        self._stream += piece
        self._ended = not piece


def _read(stream: bytes, heads: Sequence[bool]) -> tuple[list[Response], bytes]:
    return read_responses(stream, ["200 empty" if is_head else "" for is_head in heads])


def _pieces(data: bytes) -> Iterable[bytes]:
    """Some pieces, cut in places that are different for each length."""
    size = max(1, len(data) // 5)
    return [data[at : at + size] for at in range(0, len(data), size)]
