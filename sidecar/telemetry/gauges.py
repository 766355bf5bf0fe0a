"""Metrics that are read at the moment of a scrape, so they are never stale: gauges, and the count of dropped lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sidecar.core.policy import Condition
from sidecar.core.process_events import StalledFile
from sidecar.telemetry.line_writer import LineStream
from sidecar.telemetry.metric_names import FILES, LINE_STREAMS, NAMESPACE
from sidecar.vending.api import Snapshot, TokenProvider

_BY_PROFILE: tuple[tuple[str, str, Callable[[Snapshot], float]], ...] = (
    ("waiters", "Callers that are waiting for a token.", lambda s: s.waiters),
    ("token_suspect", "1 while the token is suspect.", lambda s: s.condition is Condition.SUSPECT),
    ("token_expiry_timestamp_seconds", "When the token expires; 0: no token.", lambda s: s.expires_at),
    ("token_issued_timestamp_seconds", "When the token was issued; 0: no token.", lambda s: s.issued_at),
    (
        "token_last_success_timestamp_seconds",
        "When this replica last took a new token, fetched or adopted; 0: never.",
        lambda s: s.last_success_at,
    ),
    ("cooldown_until_timestamp_seconds", "When the cool-down after a 429 ends; 0: none.", lambda s: s.cooldown_until),
    (
        "stored_token_unreadable",
        "1 while the store holds a token that this replica cannot decrypt because it lacks the seal key.",
        lambda s: s.stored_token_unreadable,
    ),
    ("call_budget_remaining", "Partner calls that the fleet may make now.", lambda s: s.budget_remaining),
    (
        "credentials_valid",
        "0 after the partner rejected the credentials, or while a new credentials file is empty or unreadable.",
        lambda s: s.credentials_valid,
    ),
)


class VendorGauges(Collector):
    """Collects every gauge of the profiles and the store."""

    def __init__(self, vendors: Callable[[], Iterable[TokenProvider]]) -> None:
        self._vendors = vendors

    def describe(self) -> Iterable[Metric]:
        """Return nothing: otherwise registering would collect before the token providers exist."""
        return ()

    def collect(self) -> Iterator[Metric]:
        seen = [(vendor.profile, vendor.snapshot()) for vendor in self._vendors()]
        for name, text, value in _BY_PROFILE:
            gauge = _gauge(name, text, "profile")
            for profile, snapshot in seen:
                gauge.add_metric([profile.name], float(value(snapshot)))
            yield gauge
        lifetime = _gauge("token_lifetime_seconds", "The token's lifetime, by source; 0: none.", "profile", "kind")
        for profile, snapshot in seen:
            for kind, lifetime_s in (
                ("declared", snapshot.declared_s),
                ("assumed", profile.lifetime_s),
                ("learned", snapshot.learned_s),
            ):
                lifetime.add_metric([profile.name, kind], lifetime_s)
        yield lifetime
        store_up = _gauge("store_up", "0 while the store is unavailable.")
        store_up.add_metric([], float(all(snapshot.store_up for _, snapshot in seen)))
        yield store_up


class ConnectionGauge(Collector):
    """Collects the connections of each listener; `connections` counts them by the listener's name."""

    def __init__(self, connections: Callable[[], Mapping[str, int]]) -> None:
        self._connections = connections

    def describe(self) -> Iterable[Metric]:
        """Nothing: the same."""
        return ()

    def collect(self) -> Iterator[Metric]:
        gauge = _gauge("connections", "Open connections.", "listener")
        for listener, count in self._connections().items():
            gauge.add_metric([listener], count)
        yield gauge


class DroppedLines(Collector):
    """Collects the number of dropped log lines; `dropped` counts them by stream."""

    def __init__(self, dropped: Callable[[], Mapping[LineStream, int]]) -> None:
        self._dropped = dropped

    def describe(self) -> Iterable[Metric]:
        """Nothing: the same."""
        return ()

    def collect(self) -> Iterator[Metric]:
        name = f"{NAMESPACE}_log_lines_dropped"
        counter = CounterMetricFamily(name, "Log lines that could not be written.", labels=["stream"])
        dropped = self._dropped()
        for stream in LINE_STREAMS:
            counter.add_metric([stream], dropped.get(stream, 0))
        yield counter


class StalledFiles(Collector):
    """Collects the number of file operations that hang now; `stalled` has an item for each."""

    def __init__(self, stalled: Callable[[], Sequence[StalledFile]]) -> None:
        self._stalled = stalled

    def describe(self) -> Iterable[Metric]:
        """Nothing: the same."""
        return ()

    def collect(self) -> Iterator[Metric]:
        gauge = _gauge("file_stalled", "File operations that hang now, by purpose of the file.", "file")
        counts = Counter(stalled.file for stalled in self._stalled())
        for file in FILES:
            gauge.add_metric([file], counts[file])
        yield gauge


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{NAMESPACE}_{name}", text, labels=labels)
