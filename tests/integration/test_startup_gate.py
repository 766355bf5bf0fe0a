"""`/startupz` of a whole service: apps wait for the first token, but not for ever."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import pytest

from sidecar.app.clock import SystemClock
from sidecar.app.service import Service
from sidecar.config.load import load
from tests.servers import free_port
from tests.support.partners import shipped
from tests.support.wire import ask

PATIENCE_S = 300


class MovableClock(SystemClock):
    """The clock of the machine, set ahead by a test."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


@pytest.fixture
async def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def tokenless(clock: MovableClock) -> AsyncIterator[Service]:
    """A running service whose partner cannot be reached."""
    environ = {
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
        "SIDECAR_BASE_URL": f"http://127.0.0.1:{free_port()}",
        "SIDECAR_API_KEY": "key",
        "SIDECAR_API_SECRET": "secret",
        "SIDECAR_REQUEST_TIMEOUT_S": str(PATIENCE_S),
    }
    service = Service(load(environ, shipped(pay1st="https://partner.example")), clock=clock, log=io.StringIO())
    await service.start()
    yield service
    await service.stop()


async def test_it_opens_without_a_token_when_a_caller_would_have_been_told_that_there_is_none(
    tokenless: Service, clock: MovableClock
) -> None:
    (admin,) = tokenless.admin_bound
    assert (await ask(admin, "/startupz")).status == 503
    clock.ahead_s = PATIENCE_S
    assert (await ask(admin, "/startupz")).status == 200
    assert (await ask(admin, "/readyz")).status == 503
