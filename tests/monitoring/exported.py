"""The metrics and labels that the program exports, and those that an expression uses."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from sidecar.telemetry.metrics import Metrics
from tests.support.fake_provider import FakeProvider

SCRAPER_LABELS = {"cluster", "container", "endpoint", "instance", "job", "namespace", "node", "pod", "service"}
"""The labels that Prometheus, its operator or a collector adds to every series."""


def _exported() -> dict[str, set[str]]:
    provider = FakeProvider()
    provider.show(clock_offset_s=0.5)
    metrics = Metrics(
        lambda: [provider], ["default"], "1.2.3", lambda: {"vending": 0, "admin": 0}, gateways=["default"]
    )
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.render("")[0].decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return {name.removeprefix(PREFIX): labels for name, labels in found.items() if name.startswith(PREFIX)}


PREFIX = "token_sidecar_"
EXPORTED = _exported()
"""The name of each series without the prefix, with one entry for each series of a histogram, and its labels. That
these are the public ones is tested by tests/unit/telemetry/test_metrics.py."""


def exported_labels(series: str) -> set[str]:
    """Return the labels of a series in a promtool case. Prometheus's own `up` has only those of the target."""
    name = series.partition("{")[0]
    return set() if name == "up" else EXPORTED[name.removeprefix(PREFIX)]


def metrics_in(text: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}([a-z_]+)", text))


def labels_in(expr: str) -> set[str]:
    """Return the labels that are matched, grouped by or joined on."""
    grouped = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expr)
    matched = re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"", expr)
    return {label.strip() for group in grouped for label in group.split(",")} | set(matched)


def labels_of(names: set[str]) -> set[str]:
    """Return all labels of these series."""
    return SCRAPER_LABELS.union(*(EXPORTED[name] for name in names))
