"""The client: it plays a conversation with a sidecar over a real socket."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.integration.raw_requests.conversation import (
    Action,
    Conversation,
    ListenerKind,
    Segment,
    expected_of,
)
from tests.integration.raw_requests.responses import Response, read_responses
from tests.integration.raw_requests.services import RunningService
from tests.support.replica import HANG_S

_GONE = (BrokenPipeError, ConnectionResetError)


@dataclass(slots=True)
class Transcript:
    """What came back, in bytes and in responses."""

    stream: bytes = b""
    responses: list[Response] = field(default_factory=list)


def play(service: RunningService, conversation: Conversation, listener: ListenerKind) -> Transcript:
    """Play it to its end. Fails where the sidecar neither answers nor closes, or sends what is no response."""
    with _connect(service, listener) as sock:
        client = _Client(sock, conversation.expected(listener))
        steps = conversation.steps_at(listener)
        for number, step in enumerate(steps):
            match step:
                case Segment() if Action.HALF_CLOSE in steps[number + 1 : number + 2]:
                    with service.loop.held():
                        client.send(step.data)
                        client.half_close()
                case Segment():
                    client.send(step.data)
                case Action.READ:
                    client.read(len(expected_of(steps[:number], listener)))
                case Action.HALF_CLOSE:
                    client.half_close()
                case Action.CLOSE | Action.RESET:
                    client.leave(reset=step is Action.RESET)
            service.loop.settle()
        if conversation.leaves:
            return Transcript()
        client.read(len(client.expected))
        if Action.HALF_CLOSE not in steps and not client.has_last_answer():
            service.loop.settle()
            assert client.is_open(), "the connection ended, and no response said so"
            client.half_close()
        client.read_to_end()
        responses, rest = read_responses(client.stream, client.expected)
        assert not rest, f"a response is cut off: {rest!r}"
        return Transcript(client.stream, responses)


def _connect(service: RunningService, listener: ListenerKind) -> socket.socket:
    address = service.address(listener)
    if address.path:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address.path)
    else:
        sock = socket.create_connection((address.host, address.port))
        # Segments are sent at once, also those behind another one.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(HANG_S)
    return sock


class _Client:
    """One end of a connection."""

    def __init__(self, sock: socket.socket, expected: Sequence[str]) -> None:
        self._sock = sock
        self._ended = False
        self.expected = expected
        self.stream = b""

    def send(self, data: bytes) -> None:
        """Send it; a sidecar that has closed receives nothing more."""
        with contextlib.suppress(*_GONE):
            self._sock.sendall(data)

    def read(self, count: int) -> None:
        """Read until there are so many responses, or until the end."""
        while not self._ended and len(read_responses(self.stream, self.expected)[0]) < count:
            self._receive()

    def has_last_answer(self) -> bool:
        """Whether the latest response says that the connection ends with it."""
        responses, _ = read_responses(self.stream, self.expected)
        return bool(responses) and responses[-1].closes

    def is_open(self) -> bool:
        """Whether the sidecar has not closed."""
        if self._ended:
            return False
        self._sock.setblocking(False)
        try:
            return bool(self._sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        finally:
            self._sock.settimeout(HANG_S)

    def read_to_end(self) -> None:
        while not self._ended:
            self._receive()

    def half_close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def leave(self, *, reset: bool) -> None:
        if reset:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def _receive(self) -> None:
        try:
            piece = self._sock.recv(65_536)
        except TimeoutError:
            due = len(self.expected)
            raise AssertionError(f"neither answered nor closed: {due} responses due after {self.stream!r}") from None
        except ConnectionResetError:
            piece = b""
        self.stream += piece
        self._ended = not piece
