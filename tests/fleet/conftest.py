"""A fleet for one test, with a Redis that the test may break."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.servers import RedisServer
from tests.support.own_names import OwnNames
from tests.support.processes import Fleet, open_fleet

DNS_PORT = 53


@pytest.fixture
async def fleet(tmp_path: Path, own_redis_server: RedisServer) -> AsyncIterator[Fleet]:
    async with open_fleet(tmp_path, own_redis_server) as opened:
        yield opened


@pytest.fixture
def silent_names(tmp_path: Path) -> Iterator[OwnNames]:
    """Names that are not in the hosts file are looked up at a DNS server that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        yield OwnNames(tmp_path, bind_somewhere(server, DNS_PORT))


def bind_somewhere(server: socket.socket, port: int) -> str:
    """Bind it to this port of a loopback address that no other test uses, and return the address."""
    while True:
        address = f"127.1.{random.randrange(256)}.{random.randrange(1, 255)}"
        with contextlib.suppress(OSError):
            server.bind((address, port))
            return address
