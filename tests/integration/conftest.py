"""Fixtures of several files: a partner on a raw socket with its client, and a running sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from sidecar.partner.client import PartnerClient
from sidecar.partner.presets import PRESETS
from sidecar.partner.transport import open_session
from sidecar.sandbox import SandboxConfig
from tests.support.canary_call import GOOD
from tests.support.hand_clock import HandClock
from tests.support.raw_partner import RawPartner, http, raw_partner
from tests.support.replica import PATIENT_S
from tests.support.sandbox_bench import CONFIG, Bench, open_bench
from tests.support.sandbox_payments import App


@pytest.fixture
async def partner() -> AsyncIterator[RawPartner]:
    async with raw_partner() as partner:
        partner.play = http("200 OK", GOOD)
        yield partner


@pytest.fixture
async def session(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[aiohttp.ClientSession]:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with open_session() as session:
        yield session


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def client(partner: RawPartner, session: aiohttp.ClientSession, clock: HandClock) -> PartnerClient:
    return PartnerClient(PRESETS["pay1st"], partner.url, PATIENT_S, session, clock)


@pytest.fixture
def config() -> SandboxConfig:
    return CONFIG


@pytest.fixture
async def bench(config: SandboxConfig) -> AsyncIterator[Bench]:
    async with open_bench(config) as bench:
        yield bench


@pytest.fixture
async def app(bench: Bench) -> App:
    """An app of the sandbox, with a token."""
    return await App.of(bench)
