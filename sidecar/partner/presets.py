"""The partners that are shipped with the program: the tables of `partners.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from sidecar.core.partner_table import PartnerTable
from sidecar.core.partner_vocabulary import read_table


def _read() -> Mapping[str, PartnerTable]:
    text = (Path(__file__).parent / "partners.toml").read_text(encoding="utf-8")
    return {name: read_table(name, table) for name, table in tomllib.loads(text).items()}


PRESETS: Mapping[str, PartnerTable] = MappingProxyType(_read())
"""By name, as `SIDECAR_PARTNER` gives it."""
