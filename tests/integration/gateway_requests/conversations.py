"""Plays the corpus of the vending listener at a gateway, and compares what passed with a second reading of it."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tests.fuzz.requests_read import Request, requests_read
from tests.integration.gateway_requests.checks import Connection, check_received, check_stream
from tests.integration.gateway_requests.partner import Received
from tests.integration.gateway_requests.service import RunningGateway
from tests.integration.raw_requests.conversation import Action, Conversation, Segment, expected_of

ALLOW = (
    "GET /v1/token*, HEAD /v1/token*, GET /v1/authorize, POST /v1/authorize, POST /v1/token/rejected, POST /oauth/token"
)
"""What the corpus asks of the vending listener, so that its requests pass."""
_LISTED = {
    "GET": ("/v1/token", "/v1/authorize"),
    "HEAD": ("/v1/token",),
    "POST": ("/v1/authorize", "/v1/token/rejected", "/oauth/token"),
}


def check_conversation(gateway: RunningGateway, conversation: Conversation) -> None:
    """Fail unless each request that passed is one that the app sent, and each that may pass did."""
    before, sent = len(gateway.partner.received), list(requests_read(conversation.data))
    if conversation.leaves:
        _leave(gateway, conversation)
        gateway.wait_until_quiet()
        _check_left(gateway, gateway.partner.received[before:], sent)
        return
    heads = [request.method == "HEAD" for request in sent]
    described, received = check_stream(gateway, _play(gateway, conversation, heads), before, heads)
    assert len(described) == len(conversation.expected("tcp")), described
    left = iter(received)
    for at, text in enumerate(described):
        status = text[:3]
        if status in ("400", "431"):
            continue  # Unreadable, for a parser that is stricter than the second reading.
        assert at < len(sent), f"{text}: a response to nothing"
        assert status.isdigit() != _may_pass(sent[at]), (text, sent[at])
        if not status.isdigit():
            assert _is(next(left), sent[at]), sent[at]


def _may_pass(request: Request) -> bool:
    """Whether the guards accept the request, and it is listed. `is_direct` refuses bodies of anything but POST."""
    path = request.target.partition("?")[0]
    listed = _LISTED.get(request.method, ())
    return (
        request.has_header
        and replace(request, method="POST").is_direct
        and any(path == one or (one == "/v1/token" and path.startswith(one)) for one in listed)
        and not any("websocket" in value.lower() for value in request.values("upgrade"))
    )


def _is(received: Received, request: Request) -> bool:
    """Whether the partner received this request. The second reading takes trailers for a part of the body."""
    is_chunked = bool(request.values("transfer-encoding"))
    body = request.body[: len(received.body)] if is_chunked and received.body else request.body
    return (received.method, received.target, received.body) == (request.method, request.target, body)


def _check_left(gateway: RunningGateway, received: Sequence[Received], sent: Iterable[Request]) -> None:
    """The app left without reading: what passed is among what it sent, in order."""
    check_received(gateway, received)
    allowed = (request for request in sent if _may_pass(request))
    for one in received:
        assert any(_is(one, request) for request in allowed), one


def _play(gateway: RunningGateway, conversation: Conversation, heads: Sequence[bool]) -> bytes:
    with Connection(gateway, heads) as connection:
        for number, step in enumerate(conversation.steps):
            if isinstance(step, Segment):
                connection.send(step.data)
            elif step is Action.READ:
                connection.read(len(expected_of(conversation.steps[:number], "tcp")))
            else:
                connection.half_close()
        if Action.HALF_CLOSE not in conversation.steps:
            connection.read(len(conversation.expected("tcp")))
        return connection.read_to_end()


def _leave(gateway: RunningGateway, conversation: Conversation) -> None:
    address = gateway.address
    with socket.create_connection((address.host, address.port)) as sock:
        for step in conversation.steps:
            if isinstance(step, Segment):
                with contextlib.suppress(OSError):
                    sock.sendall(step.data)
                gateway.loop.settle()
            elif step is Action.RESET:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
