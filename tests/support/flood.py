"""A server that answers every request with endless bytes, as fast as they are read."""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65_536


class Flood:
    """The response: `first` once, then `then` repeated. It is sent by threads, and its memory does not grow."""

    def __init__(self, first: bytes, then: bytes, drip_s: float, tls: ssl.SSLContext | None) -> None:
        self.first, self._drip_s, self._tls = first, drip_s, tls
        self.then = then if drip_s else then * (CHUNK_BYTES // len(then)) if then else b""
        self.connections = 0
        self.sent_bytes = 0
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]
        self._sockets: list[socket.socket] = [self._listener]
        self._threads[0].start()

    def stop(self) -> None:
        self._over.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._over.is_set():
                connection, _ = self._listener.accept()
                self.connections += 1
                self._sockets.append(connection)
                thread = threading.Thread(target=self._answer, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._sockets.append(connection)
            if not connection.recv(CHUNK_BYTES):
                return
            connection.sendall(self.first)
            while not self.then and connection.recv(CHUNK_BYTES):
                connection.sendall(self.first)
            if self._drip_s:
                self._drip(connection)
            while self.then and not self._over.is_set():
                connection.sendall(self.then)
                self.sent_bytes += len(self.then)

    def _drip(self, connection: socket.socket) -> None:
        for byte in itertools.cycle(self.then):
            if self._over.wait(self._drip_s):
                return
            connection.sendall(bytes([byte]))


@contextmanager
def flooding(
    first: bytes, then: bytes = b"", *, drip_s: float = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Flood]:
    """Without `then` the response is only `first`. With `drip_s`, `then` is sent byte by byte."""
    flood = Flood(first, then, drip_s, tls)
    try:
        yield flood
    finally:
        flood.stop()
