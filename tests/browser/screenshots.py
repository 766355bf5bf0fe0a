"""Pictures of the page, which the tests write for people to look at."""

from __future__ import annotations

from pathlib import Path

from tests.support.browser import Page

FOLDER = Path(__file__).resolve().parents[2] / ".screenshots"


async def keep(page: Page, name: str) -> None:
    _write(f"{name}.png", await page.picture())


def _write(name: str, picture: bytes) -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / name).write_bytes(picture)
