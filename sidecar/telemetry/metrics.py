"""Events as Prometheus metrics: an event sink that can be scraped."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from sidecar.core.events import (
    AttemptEnded,
    Event,
    LeaseLost,
    PartnerCalled,
    RequestSigned,
    StoreFailed,
    TokenReported,
)
from sidecar.core.ports import EventSink
from sidecar.core.process_events import LimitHit, RequestServed, StalledFile, TokenFileFailed
from sidecar.telemetry import metric_names as names
from sidecar.telemetry.gauges import CurrentState
from sidecar.telemetry.line_writer import LineStream
from sidecar.telemetry.request_metrics import RequestCounts
from sidecar.vending.api import TokenProvider

PARTNER_BUCKETS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class _ClosedCounter:
    """Counts combinations of label values from closed sets, which exist from the start. Others are not counted."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str, **labels: Sequence[str]) -> None:
        """`labels` maps each label's name to its closed set."""
        counter = Counter(name, text, tuple(labels), namespace=names.NAMESPACE, registry=registry)
        # Cached: looking a series up by label takes a lock.
        self._series = {values: counter.labels(*values) for values in itertools.product(*labels.values())}

    def count(self, *values: str) -> None:
        series = self._series.get(values)
        if series is not None:
            series.inc()


class Metrics:
    """Every metric of the contract, in its own registry."""

    def __init__(
        self,
        providers: Callable[[], Iterable[TokenProvider]],
        profiles: Sequence[str],
        version: str,
        connections: Callable[[], Mapping[str, int]] = dict,
        lines_dropped: Callable[[], Mapping[LineStream, int]] = dict,
        stalled_files: Callable[[], Sequence[StalledFile]] = tuple,
        gateways: Sequence[str] = (),
    ) -> None:
        """`profiles` are the names that may become labels. `connections` counts open connections by listener.

        `lines_dropped` counts dropped log lines by stream. `stalled_files` has one item for each file operation that
        hangs now. `gateways` are the profiles that have one.
        """
        # Process-wide in prometheus_client: `_created` series double the output and nothing reads them.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left this one out
        registry = self._registry = CollectorRegistry()
        counter = partial(_ClosedCounter, registry)
        self.requests = RequestCounts(profiles)
        registry.register(self.requests)
        self._partner_requests = counter(
            "partner_requests_total",
            "Calls to the partner's token endpoints.",
            profile=profiles,
            operation=names.OPERATIONS,
            outcome=names.OUTCOMES,
        )
        self._flights = counter(
            "flights_total",
            "Attempts of this replica to get a token.",
            profile=profiles,
            reason=names.REASONS,
            result=names.RESULTS,
        )
        self._reports = counter(
            "rejected_reports_total",
            "Reports that the partner refused a token.",
            profile=profiles,
            verdict=names.VERDICTS,
        )
        self._leases_lost = counter("lease_lost_total", "Leases lost before the refresh was stored.", profile=profiles)
        self._signatures = counter("signatures_total", "Requests signed for the partner.", profile=profiles)
        self._store_errors = counter(
            "store_errors_total", "Store operations that failed.", operation=names.STORE_OPERATIONS
        )
        self._file_errors = counter(
            "sink_errors_total", "Token files that could not be written or removed.", profile=profiles
        )
        self._limits_hit = counter(
            "limits_hit_total", "Connections that exceeded a limit.", listener=names.LISTENERS, limit=names.LIMITS
        )
        took = Histogram(
            "partner_request_duration_seconds",
            "Duration of partner calls.",
            ("profile", "operation"),
            namespace=names.NAMESPACE,
            buckets=PARTNER_BUCKETS_S,
            registry=registry,
        )
        self._partner_durations = {
            values: took.labels(*values) for values in itertools.product(profiles, names.OPERATIONS)
        }
        self._gateways: EventSink | None = None
        if gateways:
            # Imported here: a sidecar without a gateway loads nothing of it.
            from sidecar.telemetry.gateway import GatewayMetrics

            self._gateways = GatewayMetrics(registry, gateways)
        text = "Always 1; the label has the version."
        build_info = Gauge("build_info", text, ("version",), namespace=names.NAMESPACE, registry=registry)
        build_info.labels(version).set(1)
        registry.register(CurrentState(providers, connections, lines_dropped, stalled_files))
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

    def emit(self, event: Event) -> None:  # noqa: C901 - one case an event
        match event:
            case RequestServed():
                self.requests.tally(event.profile, event.endpoint).count(event.code, event.duration_s)
            case PartnerCalled():
                self._partner_requests.count(event.profile, event.operation, event.outcome)
                duration = self._partner_durations.get((event.profile, event.operation))
                if duration is not None:
                    duration.observe(event.duration_s)
            case AttemptEnded():
                self._flights.count(event.profile, event.reason, event.result)
            case TokenReported():
                self._reports.count(event.profile, event.verdict)
            case LimitHit():
                self._limits_hit.count(event.listener, event.limit)
            case LeaseLost():
                self._leases_lost.count(event.profile)
            case RequestSigned():
                self._signatures.count(event.profile)
            case TokenFileFailed():
                self._file_errors.count(event.profile)
            case StoreFailed():
                self._store_errors.count(event.operation)
            case _:
                if self._gateways is not None:
                    self._gateways.emit(event)
