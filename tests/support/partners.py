"""Tables of partners for tests."""

from __future__ import annotations

from dataclasses import replace

from sidecar.core.partner_table import PartnerTable
from sidecar.partner.presets import PRESETS

PAY1ST = PRESETS["pay1st"]


def shipped(**base_urls: str) -> dict[str, PartnerTable]:
    """Return these shipped partners with another base URL each."""
    return {name: replace(PRESETS[name], base_url=url) for name, url in base_urls.items()}
