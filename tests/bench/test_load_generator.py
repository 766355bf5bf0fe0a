"""Our own load generator sends whole requests, counts whole responses, and accepts only the token."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import SO_SNDBUF, SOL_SOCKET
from socketserver import BaseRequestHandler, TCPServer, ThreadingMixIn, UnixStreamServer

import pytest

from tests.bench.load import Load, WrongAnswerError, build_generator, generated
from tests.bench.peers import Peer
from tests.support.programs import needs

pytestmark = [needs("gcc"), needs("taskset")]

CONNECTIONS = 3
SECONDS = 0.1
BODY = b'{"accessToken":"' + b"x" * 20_000 + b'"}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)


class TcpServer(ThreadingMixIn, TCPServer):
    daemon_threads = True


class UnixServer(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@contextmanager
def server(folder: Path, kind: str, answer: bytes = ANSWER) -> Iterator[tuple[Peer, list[bytes]]]:
    """Run a server with this answer to each request; yields what it received. An empty answer ends the connection."""
    requests: list[bytes] = []

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            # The answer does not fit into the socket's buffer: it arrives in pieces.
            self.request.setsockopt(SOL_SOCKET, SO_SNDBUF, len(ANSWER) // 4)
            with contextlib.suppress(ConnectionError):
                while received := self.request.recv(65_536):
                    requests.append(received)
                    if not answer:
                        return
                    self.request.sendall(answer)

    path = str(folder / "server.sock") if kind == "unix" else ""
    running = UnixServer(path, Handler) if path else TcpServer(("127.0.0.1", 0), Handler)
    with running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        port = 0 if path else running.socket.getsockname()[1]
        try:
            yield Peer("a peer", port, [], headers={"Authorization": "Bearer x"}, socket_path=path), requests
        finally:
            running.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_generator(tmp_path_factory.mktemp("generator"))


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_answers_in_pieces_are_counted_once_each(kind: str, tmp_path: Path, generator: Path) -> None:
    with server(tmp_path, kind) as (peer, requests):
        rate = generated(peer, Load(CONNECTIONS, headers=("X-Id: 7",)), seconds=SECONDS, generator=generator)
    assert {tuple(request.split(b"\r\n")) for request in requests} == {
        (
            b"GET /v1/token HTTP/1.1",
            b"Host: localhost",
            b"Sidecar-Request: true",
            b"Authorization: Bearer x",
            b"X-Id: 7",
            b"",
            b"",
        )
    }
    # It runs for SECONDS or longer, and each answer that it counts had a request. The rate is rounded.
    assert 0 < rate.per_s * SECONDS < len(requests) + 1
    assert rate.p50_s <= rate.p99_s


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "a wrong answer: HTTP/1.1 403"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "a wrong answer: HTTP/1.1 200"),
        (ANSWER + b"more", "(more than one answer|a wrong answer): more"),
        (b"", "the connection ended within an answer"),
    ],
    ids=["refused", "without a length", "more than one", "no answer"],
)
def test_any_other_answer_ends_the_run(answer: bytes, message: str, tmp_path: Path, generator: Path) -> None:
    with server(tmp_path, "unix", answer) as (peer, _), pytest.raises(WrongAnswerError, match=f"a peer: {message}"):
        generated(peer, Load(CONNECTIONS), seconds=SECONDS, generator=generator)


def test_a_server_that_is_not_there_ends_the_run(tmp_path: Path, generator: Path) -> None:
    peer = Peer("a peer", 1, [], socket_path=str(tmp_path / "none.sock"))
    with pytest.raises(WrongAnswerError, match="cannot connect"):
        generated(peer, Load(CONNECTIONS), seconds=SECONDS, generator=generator)
