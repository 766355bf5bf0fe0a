"""The status page of a real sidecar: it shows changes, and is never shown as live when it is not."""

from __future__ import annotations

import signal

import pytest

from sidecar.sandbox.faults import Fault
from tests.browser.screenshots import keep
from tests.browser.ticking import A_TICK_CHANGES_THE_BAR
from tests.support.browser import Page
from tests.support.processes import Fleet
from tests.support.programs import needs
from tests.support.replica import CALLER, Replica, until

pytestmark = needs("chromium")

COUNTDOWNS_AFTER_AN_ANSWER = """(async () => {
    const countdowns = () => [...document.querySelectorAll("[data-left]:not([data-of])")];
    for (const countdown of countdowns()) countdown.textContent = "of before";
    await look();
    return countdowns().map((countdown) => countdown.textContent);
})()"""
TOKEN_ID, STATUS, NOT_LIVE = "dd code", "[role=status]", "#not-live"


@pytest.fixture
async def replica(fleet: Fleet, page: Page) -> Replica:
    """A sidecar with a token, whose status page is open."""
    (replica,) = await fleet.ready(1, POLL_S="0.3", TOKEN_LIFETIME_S="60", PARTNER_TIMEOUT_S="2")
    await page.go(replica.page_url)
    return replica


async def shows(page: Page, text: str, selector: str = "body") -> None:
    async def shown() -> bool:
        return text in await page.text(selector)

    await until(shown)


async def test_another_token_shows_and_focus_and_selection_stay(replica: Replica, page: Page) -> None:
    first = await page.text(TOKEN_ID)
    assert first == (await replica.ask()).token_id
    await page.value("document.querySelector('footer a').focus()")
    await page.value("getSelection().selectAllChildren(document.querySelector('h1'))")
    await replica.report(first)

    async def another() -> bool:
        return await page.text(TOKEN_ID) != first

    await until(another)
    assert await page.text(TOKEN_ID) == (await replica.ask()).token_id
    await shows(page, "Apps get a new token, fetched from the partner", ".events")
    assert await page.value("document.activeElement.textContent") == "status.json"
    assert "token-sidecar" in await page.value("getSelection().toString()")
    assert page.loads == 1
    await keep(page, "good")


async def test_a_429_shows_within_seconds_with_its_end_and_so_does_recovery(
    fleet: Fleet, replica: Replica, page: Page
) -> None:
    fleet.sandbox.state.faults.add(Fault(fault="status", status=429, retry_after="8"))
    await replica.report((await replica.ask()).token_id)
    await shows(page, "Apps get a suspect token: no other is available now", STATUS)
    assert "Partner calls are rate limited (429). No partner calls before" in await page.text(".troubles")
    assert await page.value("document.title") == "Attention · token-sidecar"
    countdowns = await page.value(COUNTDOWNS_AFTER_AN_ANSWER)
    assert countdowns
    assert "of before" not in countdowns, "a moment and the time until it differ"
    await shows(page, "Partner call: rate limited (429)", ".events")
    await keep(page, "throttled")
    await shows(page, "Apps get a good token", STATUS)
    assert await page.text(".troubles") == ""
    assert page.loads == 1


async def test_a_sidecar_that_does_not_answer_is_not_shown_as_live(replica: Replica, page: Page) -> None:
    replica.signal(signal.SIGSTOP)
    await page.value("look()")  # as the next timer would
    await shows(page, "The sidecar does not answer. The data below is as of", NOT_LIVE)
    assert await page.value("document.title") == "No answer · token-sidecar"
    assert await page.value(A_TICK_CHANGES_THE_BAR) is False
    await keep(page, "no-answer")
    replica.signal(signal.SIGCONT)

    async def live() -> bool:
        return await page.text(NOT_LIVE) == "" and bool(await page.value(A_TICK_CHANGES_THE_BAR))

    await until(live)
    assert await page.value("document.title") == "Good · token-sidecar"


async def test_a_call_through_the_gateway_shows_within_seconds(fleet: Fleet, page: Page) -> None:
    (replica,) = await fleet.ready(1, GATEWAY_LISTEN="127.0.0.1:0")
    await page.go(replica.page_url)
    assert "Gateway requests none" in " ".join((await page.text("dl")).split())
    (address,) = replica.events("service_started")[0]["gateways"]
    async with fleet.session.get(f"http://{address}/api/pay1st/payments/methods", headers=CALLER) as response:
        assert response.headers["Sidecar-Answer"] == "partner"
    await shows(page, "1 answered", "dl")
    assert page.loads == 1
    await keep(page, "gateway")
