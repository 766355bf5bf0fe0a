"""A fleet of this test's own, with a Redis that may be broken."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.servers import RedisServer
from tests.support.own_names import OwnNames
from tests.support.processes import Fleet, open_fleet

SILENT_DNS = ("127.0.0.66", 53)


@pytest.fixture
async def fleet(tmp_path: Path, own_redis_server: RedisServer) -> AsyncIterator[Fleet]:
    async with open_fleet(tmp_path, own_redis_server) as opened:
        yield opened


@pytest.fixture
def silent_names(tmp_path: Path) -> Iterator[OwnNames]:
    """Names outside of the hosts file are asked of a server that takes every question and answers none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(SILENT_DNS)
        yield OwnNames(tmp_path, SILENT_DNS[0])
