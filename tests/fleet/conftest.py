"""A fleet of this test's own, with a Redis that may be broken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.processes import Fleet, open_fleet
from tests.servers import RedisServer


@pytest.fixture
async def fleet(tmp_path: Path, own_redis_server: RedisServer) -> AsyncIterator[Fleet]:
    async with open_fleet(tmp_path, own_redis_server) as opened:
        yield opened
