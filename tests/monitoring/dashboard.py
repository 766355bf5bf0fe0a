"""The dashboard as data, and its expressions as Grafana would send them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

DASHBOARD: dict[str, Any] = json.loads((Path(__file__).parents[2] / "deploy/grafana/dashboard.json").read_text())
ROWS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] == "row"]
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES: dict[str, dict[str, Any]] = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
CHOSEN = {name: variable["allValue"] for name, variable in VARIABLES.items() if variable["type"] == "query"}
"""The value of each variable while "All" is chosen."""


def substituted(text: str, scrape_s: float, chosen: Mapping[str, str] = CHOSEN) -> str:
    """Replace every variable. `$__rate_interval` is at least four scrapes, by Grafana's page on the data source."""
    text = text.replace("$__rate_interval", f"{round(4000 * scrape_s)}ms")
    for name, value in chosen.items():
        text = text.replace(f"${name}", value)
    return text


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each expression with the title of its panel."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield f"{panel['title']}, {target['refId']}", target["expr"]
