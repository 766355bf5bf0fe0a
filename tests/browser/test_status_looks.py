"""A page with every state: readable in both colour schemes and on a phone, by keyboard and with a screen reader."""

from __future__ import annotations

import pytest

from sidecar.web.admin.status_page.markup import span
from tests.browser.screenshots import keep
from tests.support.browser import Page
from tests.support.programs import needs
from tests.support.replica import until
from tests.support.status_samples import providers

pytestmark = needs("chromium")

PHONE = 360
READABLE = 4.5
"""The contrast that WCAG 2.2 requires for text (1.4.3, level AA)."""
WORST_CONTRAST = """(() => {
    const light = (colour) => {
        const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
        const [r, g, b] = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        const colour = getComputedStyle(element).backgroundColor;
        return colour === "rgba(0, 0, 0, 0)" && element.parentElement ? behind(element.parentElement) : colour;
    };
    const written = [...document.querySelectorAll("body *")].filter((element) => element.innerText);
    return Math.min(...written.map((element) => {
        const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }));
})()"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1100, PHONE], ids=["wide", "phone"])
async def test_it_is_readable(width: int, dark: bool, samples_url: str, page: Page) -> None:
    await page.looks(width=width, dark=dark)
    await page.go(samples_url)
    await keep(page, f"{'phone' if width == PHONE else 'wide'}-{'dark' if dark else 'light'}")
    assert await page.value("document.documentElement.scrollWidth") <= width
    assert await page.value(WORST_CONTRAST) >= READABLE
    background = await page.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    assert (int(background) < 128) == dark


async def test_a_screen_reader_finds_landmarks_headings_and_named_bars(samples_url: str, page: Page) -> None:
    await page.go(samples_url)
    tree = await page.accessibility_tree()
    assert {"banner", "main", "contentinfo", "status"} <= {role for role, _ in tree}
    assert ("navigation", "Profiles") in tree
    for name in providers():
        assert ("region", name) in tree
        assert ("heading", name) in tree
        assert ("meter", f"Remaining lifetime of the token of {name}") in tree
    assert ("region", "Latest events") in tree
    assert ("StaticText", "Apps get no token for empty, rejected; look at cooling, suspect too") in tree
    assert not [role for role, name in tree if role in ("link", "button", "meter", "image") and not name]


async def test_every_control_is_reached_by_keyboard_in_reading_order(samples_url: str, page: Page) -> None:
    await page.go(samples_url)
    reached = []
    for _ in range(1 + len(providers()) + 4):
        await page.press("Tab")
        reached.append(await page.value("document.activeElement.textContent.trim().split(' ')[0]"))
        assert await page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == ["Pause", *providers(), "status.json", "readyz", "livez", "metrics"]


async def test_updates_are_paused_and_resumed_by_keyboard(samples_url: str, page: Page) -> None:
    await page.go(samples_url)
    await page.press("Tab")
    await page.press("Enter")
    assert (await page.text("#pause"), await page.text("#not-live")) == (
        "Resume updates",
        "Updates are paused. The data below is as of 00:03:00 UTC.",
    )
    assert await page.value("document.title") == "Paused · token-sidecar"
    await page.press("Enter")

    async def live() -> bool:
        return (await page.text("#pause"), await page.text("#not-live")) == ("Pause updates", "")

    await until(live)
    assert await page.value("document.title") == "No token · token-sidecar"


async def test_the_script_counts_down_in_the_words_of_the_page(samples_url: str, page: Page) -> None:
    await page.go(samples_url)
    durations = [0, 1, 59, 60, 61, 692, 3599, 3600, 7500, 86_399, 86_400, 273_600]
    assert await page.value(f"{durations}.map(span)") == [span(duration) for duration in durations]


async def test_the_bar_shrinks_between_two_responses(samples_url: str, page: Page) -> None:
    await page.go(samples_url)
    await page.value("fetch = () => new Promise(() => {})")
    width = "Number.parseFloat(document.querySelector('rect.left').getAttribute('width'))"
    first = await page.value(width)

    async def shorter() -> bool:
        return bool(await page.value(width) < first)

    await until(shorter)


async def test_without_scripts_it_is_complete_and_reloads_by_itself(samples_url: str, page: Page) -> None:
    await page.do("Emulation.setScriptExecutionDisabled", value=True)
    await page.go(samples_url)
    text = await page.text()
    for part in ("Apps get a good token", "left, until", "Next: refresh", "Latest events", "reloads every 5 s"):
        assert part in text
    assert "Pause updates" not in text
    await keep(page, "without-scripts")
    assert page.reloads_in_s == 5
