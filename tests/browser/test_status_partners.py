"""The page of a sidecar with three partners: the troubles of two of them are both shown, each beside its partner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.sandbox import Fault
from tests.browser.screenshots import keep
from tests.servers import RedisServer
from tests.support.browser import Page
from tests.support.programs import needs
from tests.support.replica import until
from tests.support.three_partners import PARTNERS, ThreePartners, readiness, three_partners

pytestmark = needs("chromium")

ROLES = {"payments": "as API_USER "}
"""The other partners take no role."""


@pytest.fixture
async def partners(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[ThreePartners]:
    async with three_partners(tmp_path, redis_server) as scene:
        yield scene


async def test_each_profile_is_shown_with_its_partner_and_its_own_trouble(partners: ThreePartners, page: Page) -> None:
    """`ledger` has no token, `cards` has one that was reported and cannot be replaced, `payments` is well."""
    partners.sandboxes["ledger"].state.faults.add(Fault(fault="status", status=401, count=0))
    (replica,) = await partners.fleet.start(1)
    await until(replica.ready)
    partners.sandboxes["cards"].state.faults.add(Fault(fault="status", status=429, retry_after="600", count=0))
    held = (await replica.ask("/v1/token/cards")).token_id
    await replica.post("/v1/token/cards/rejected", json={"tokenId": held})

    async def in_trouble() -> bool:
        return await replica.metric("cooldown_until_timestamp_seconds", profile="cards") > 0

    await until(in_trouble)
    assert await readiness(replica) == {"payments": 200, "ledger": 503, "cards": 200}
    await page.go(replica.page_url)
    await keep(page, "three-partners")
    grades = {"payments": "Good", "ledger": "No token", "cards": "Attention"}
    assert await page.text("[role=status]") == "Apps get no token for ledger; look at cards too"
    links = await page.text("nav")
    for profile, partner in PARTNERS.items():
        section = await page.text(f"#profile-{profile}")
        assert f"{partner} {ROLES.get(profile, '')}at {partners.sandboxes[profile].url}" in section
        assert grades[profile] in section
        assert profile in links
    assert "rate limited" in await page.text("#profile-cards")
    assert "rate limited" not in await page.text("#profile-ledger")
    assert "credentials are rejected" in await page.text("#profile-ledger")
    assert "Signing key\npresent" in await page.text("#profile-payments")
    assert "Signing key\nnone" in await page.text("#profile-cards")
