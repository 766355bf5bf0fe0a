"""Fixtures every part of the suite may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import RedisServer

# Whatever that of the shell is: a folder or file that another user may write to is refused in many places.
os.umask(0o022)


@pytest.fixture(scope="session")
def shared_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(short_folder(tmp_path_factory)).start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(shared_redis_server: RedisServer) -> RedisServer:
    """The session's real server, emptied for this test."""
    shared_redis_server.command("FLUSHALL")
    shared_redis_server.forget_counts()
    return shared_redis_server


@pytest.fixture
def own_redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real server of this test's own, to be stopped, paused and restarted."""
    server = RedisServer(short_folder(tmp_path_factory)).start()
    yield server
    server.stop()


def short_folder(factory: pytest.TempPathFactory) -> Path:
    """A unix socket's path must stay below 108 bytes, so not the test's own folder with its long name."""
    return factory.mktemp("redis")
