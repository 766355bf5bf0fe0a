"""One browser for all tests, a new page for each, and a sidecar with store and partner."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.servers import RedisServer
from tests.support.browser import Page, browser_process, open_page
from tests.support.processes import Fleet, open_fleet
from tests.support.status_samples import status_samples


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with browser_process(tmp_path_factory.mktemp("chromium")) as address:
        yield address


@pytest.fixture
async def page(browser: str) -> AsyncIterator[Page]:
    """A new page. At the end of the test its console must be empty."""
    async with open_page(browser) as page:
        await page.looks()
        yield page
        assert page.complaints == []


@pytest.fixture
async def fleet(tmp_path: Path, own_redis_server: RedisServer) -> AsyncIterator[Fleet]:
    async with open_fleet(tmp_path, own_redis_server) as opened:
        yield opened


@pytest.fixture
async def samples_url() -> AsyncIterator[str]:
    async with status_samples() as url:
        yield url
