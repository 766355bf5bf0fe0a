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


class CurrentState(Collector):
    """Collects the state of the profiles and the store, connections, dropped lines and file operations that hang."""

    def __init__(
        self,
        providers: Callable[[], Iterable[TokenProvider]],
        connections: Callable[[], Mapping[str, int]],
        lines_dropped: Callable[[], Mapping[LineStream, int]],
        stalled_files: Callable[[], Sequence[StalledFile]],
    ) -> None:
        """As for `Metrics`."""
        self._providers = providers
        self._connections = connections
        self._lines_dropped = lines_dropped
        self._stalled_files = stalled_files

    def describe(self) -> Iterable[Metric]:
        """Return nothing: otherwise registering would collect before the token providers exist."""
        return ()

    def collect(self) -> Iterator[Metric]:
        seen = [(provider.profile, provider.snapshot()) for provider in self._providers()]
        for name, text, value in _BY_PROFILE:
            yield _gauge(name, text, ["profile"], [([profile.name], value(snapshot)) for profile, snapshot in seen])
        lifetimes = [
            ([profile.name, kind], lifetime_s)
            for profile, snapshot in seen
            for kind, lifetime_s in (
                ("declared", snapshot.declared_s),
                ("assumed", profile.lifetime_s),
                ("learned", snapshot.learned_s),
            )
        ]
        text = "The token's lifetime, by source; 0: none."
        yield _gauge("token_lifetime_seconds", text, ["profile", "kind"], lifetimes)
        offsets = [
            ([profile.name], snapshot.clock_offset_s)
            for profile, snapshot in seen
            if snapshot.clock_offset_s is not None
        ]
        text = "How far the partner's clock is ahead of this machine's."
        yield _gauge("partner_clock_offset_seconds", text, ["profile"], offsets)
        is_up = all(snapshot.store_up for _, snapshot in seen)
        yield _gauge("store_up", "0 while the store is unavailable.", [], [([], is_up)])
        connections = [([listener], count) for listener, count in self._connections().items()]
        yield _gauge("connections", "Open connections.", ["listener"], connections)
        yield self._dropped()
        hanging = Counter(stalled.file for stalled in self._stalled_files())
        text = "File operations that hang now, by purpose of the file."
        yield _gauge("file_stalled", text, ["file"], [([file], hanging[file]) for file in FILES])

    def _dropped(self) -> Metric:
        name = f"{NAMESPACE}_log_lines_dropped"
        counter = CounterMetricFamily(name, "Log lines that could not be written.", labels=["stream"])
        dropped = self._lines_dropped()
        for stream in LINE_STREAMS:
            counter.add_metric([stream], dropped.get(stream, 0))
        return counter


def _gauge(
    name: str, text: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    """Return the gauge with its samples: the values of its labels, and its value."""
    gauge = GaugeMetricFamily(f"{NAMESPACE}_{name}", text, labels=labels)
    for values, value in samples:
        gauge.add_metric(values, float(value))
    return gauge
