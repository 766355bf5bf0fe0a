"""Fixtures every part of the suite may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import RedisServer
from tests.support.programs import skip_without_programs
from tests.tiers import FIRST, belongs

# Whatever that of the shell is: a folder or file that another user may write to is refused in many places.
os.umask(0o022)
# A busy machine must not fail a test.
settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tier", choices=("first", "rest", "both"), default="both", help="as tests/tiers.py says")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tier = config.getoption("--tier")
    chosen = [item for item in items if belongs(item, tier)]
    config.hook.pytest_deselected(items=[item for item in items if not belongs(item, tier)])
    items[:] = chosen


def pytest_runtest_setup(item: pytest.Item) -> None:
    skip_without_programs(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--tier") == "first":
        terminalreporter.write_line(
            "Left out: what needs other programs (proxies, Chromium, Prometheus, ...), what is slow, and what is not in"
            f" {', '.join(FIRST)}. make test-all runs it, too."
        )


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
