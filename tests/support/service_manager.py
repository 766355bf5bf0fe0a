"""A service manager: a datagram socket that receives the messages of a service."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path


class Manager:
    """`address` is the value of `NOTIFY_SOCKET`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.lines: list[str] = []
        """Every line so far, in order."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(f"\0{address[1:]}" if address[0] == "@" else address)

    def receive(self) -> list[str]:
        """Read what was received since the last time, and return its lines."""
        news: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                news += self._socket.recv(65_536).decode().split("\n")
        self.lines += news
        return news

    def received(self, line: str) -> bool:
        self.receive()
        return line in self.lines

    def status(self) -> str:
        """The latest status line; empty before the first."""
        self.receive()
        return next((line[7:] for line in reversed(self.lines) if line.startswith("STATUS=")), "")

    def fill(self) -> None:
        """Fill the buffer of the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(BlockingIOError):
            sender.setblocking(False)
            while True:
                sender.sendto(b"X=1", self._socket.getsockname())

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def manager(folder: Path, *, abstract: bool = False) -> Iterator[Manager]:
    """A service manager on a socket in `folder`, or on an abstract socket."""
    opened = Manager(f"@token-sidecar-manager-{os.getpid()}" if abstract else str(folder / "notify"))
    try:
        yield opened
    finally:
        opened.close()
