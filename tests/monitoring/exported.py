"""What a scrape of the program holds, and what an expression asks of it."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from sidecar.telemetry.metrics import Metrics
from tests.support.fake_provider import FakeProvider

SCRAPER_LABELS = {"cluster", "container", "endpoint", "instance", "job", "namespace", "node", "pod", "service"}
"""What Prometheus, its operator or a collector adds to every series."""


def _exported() -> dict[str, set[str]]:
    metrics = Metrics(lambda: [FakeProvider()], ["default"], "1.2.3", lambda: {"vending": 0, "admin": 0})
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.render("")[0].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return {name.removeprefix(PREFIX): labels for name, labels in found.items() if name.startswith(PREFIX)}


PREFIX = "token_sidecar_"
EXPORTED = _exported()
"""Each series' name without the prefix, those of a histogram apart, and its labels. That these are the public ones is
held by tests/unit/telemetry/test_metrics.py."""


def exported_labels(series: str) -> set[str]:
    """Of one series as promtool's cases write it; Prometheus's own `up` has none but the target's."""
    name = series.partition("{")[0]
    return set() if name == "up" else EXPORTED[name.removeprefix(PREFIX)]


def metrics_in(text: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}([a-z_]+)", text))


def labels_in(expr: str) -> set[str]:
    """Those that are matched, grouped by or joined on."""
    grouped = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expr)
    matched = re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"", expr)
    return {label.strip() for group in grouped for label in group.split(",")} | set(matched)


def labels_of(names: set[str]) -> set[str]:
    """All that these series have."""
    return SCRAPER_LABELS.union(*(EXPORTED[name] for name in names))
