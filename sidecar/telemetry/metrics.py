"""Events as Prometheus metrics: an event sink that can be scraped."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from sidecar.core.events import (
    Event,
    FlightEnded,
    LeaseLost,
    PartnerCalled,
    StoreFailed,
    TokenReported,
)
from sidecar.core.process_events import LimitHit, RequestServed, StalledFile, TokenFileFailed
from sidecar.telemetry import metric_names
from sidecar.telemetry.gauges import ConnectionGauge, DroppedLines, StalledFiles, VendorGauges
from sidecar.telemetry.line_writer import LineStream
from sidecar.telemetry.metric_names import NAMESPACE, ClosedCounter
from sidecar.telemetry.request_metrics import RequestCounts
from sidecar.vending.api import TokenProvider

PARTNER_BUCKETS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Every metric of the contract, in its own registry.

    `profiles` are the names that may become labels.
    """

    def __init__(
        self,
        vendors: Callable[[], Iterable[TokenProvider]],
        profiles: Sequence[str],
        version: str,
        connections: Callable[[], Mapping[str, int]] = dict,
        lines_dropped: Callable[[], Mapping[LineStream, int]] = dict,
        stalled_files: Callable[[], Sequence[StalledFile]] = tuple,
    ) -> None:
        """`connections` counts open connections by listener; `lines_dropped` counts dropped log lines by stream.

        `stalled_files` has one item for each file operation that hangs now.
        """
        # Process-wide in prometheus_client: `_created` series double the output and nothing reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left this one out
        registry = CollectorRegistry()
        self._registry = registry
        self.requests = RequestCounts(profiles)
        registry.register(self.requests)
        self._partner_requests = ClosedCounter(
            registry,
            "partner_requests_total",
            "Calls to the partner's token endpoints.",
            {"profile": profiles, "operation": metric_names.OPERATIONS, "outcome": metric_names.OUTCOMES},
        )
        self._flights = ClosedCounter(
            registry,
            "flights_total",
            "Attempts of this replica to get a token.",
            {"profile": profiles, "reason": metric_names.REASONS, "result": metric_names.RESULTS},
        )
        self._reports = ClosedCounter(
            registry,
            "rejected_reports_total",
            "Reports that the partner refused a token.",
            {"profile": profiles, "verdict": metric_names.VERDICTS},
        )
        self._leases_lost = ClosedCounter(
            registry, "lease_lost_total", "Leases lost before the refresh was stored.", {"profile": profiles}
        )
        self._store_errors = ClosedCounter(
            registry,
            "store_errors_total",
            "Store operations that failed.",
            {"operation": metric_names.STORE_OPERATIONS},
        )
        self._file_errors = ClosedCounter(
            registry, "sink_errors_total", "Token files that could not be written or removed.", {"profile": profiles}
        )
        self._limits_hit = ClosedCounter(
            registry,
            "limits_hit_total",
            "Connections that exceeded a limit.",
            {"listener": metric_names.LISTENERS, "limit": metric_names.LIMITS},
        )
        took = Histogram(
            "partner_request_duration_seconds",
            "Duration of partner calls.",
            ("profile", "operation"),
            namespace=NAMESPACE,
            buckets=PARTNER_BUCKETS_S,
            registry=registry,
        )
        pairs = itertools.product(profiles, metric_names.OPERATIONS)
        self._partner_series = {pair: took.labels(*pair) for pair in pairs}
        Gauge(
            "build_info", "Always 1; the label has the version.", ("version",), namespace=NAMESPACE, registry=registry
        ).labels(version).set(1)
        registry.register(VendorGauges(vendors))
        registry.register(ConnectionGauge(connections))
        registry.register(DroppedLines(lines_dropped))
        registry.register(StalledFiles(stalled_files))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the scrape's body and content type: OpenMetrics if `accept` requests it, else Prometheus text."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):
            # The library fails on a version that is not a number; such clients get the plain format.
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type

    def emit(self, event: Event) -> None:
        match event:
            case RequestServed():
                self.requests.tally(event.profile, event.endpoint).count(event.code, event.duration_s)
            case PartnerCalled():
                self._partner_requests.count(event.profile, event.operation, event.outcome)
                self._observe_call(event)
            case FlightEnded():
                self._flights.count(event.profile, event.reason, event.result)
            case TokenReported():
                self._reports.count(event.profile, event.verdict)
            case LeaseLost():
                self._leases_lost.count(event.profile)
            case LimitHit():
                self._limits_hit.count(event.listener, event.limit)
            case TokenFileFailed():
                self._file_errors.count(event.profile)
            case StoreFailed():
                self._store_errors.count(event.operation)
            case _:
                pass

    def _observe_call(self, event: PartnerCalled) -> None:
        series = self._partner_series.get((event.profile, event.operation))
        if series is not None:
            series.observe(event.duration_s)
