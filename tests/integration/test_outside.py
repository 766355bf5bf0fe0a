"""Nothing public changes by accident: settings, codes, events, documents, metrics, status, log lines."""

from __future__ import annotations

import json

import pytest

from tests.integration.outside import PAGE, outside


@pytest.mark.parametrize("section", json.loads(PAGE.read_text(encoding="utf-8")))
async def test_what_the_outside_sees_is_what_it_was(section: str) -> None:
    """`python -m tests.integration.outside` writes it again; each difference belongs in the CHANGELOG."""
    seen = json.loads(json.dumps(await outside()))
    assert seen[section] == json.loads(PAGE.read_text(encoding="utf-8"))[section]
