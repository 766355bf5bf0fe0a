"""The metrics and the audit of the gateway. Loaded only where one is set up."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from structlog.typing import EventDict, Processor

from sidecar.core.events import Event
from sidecar.core.ports import Clock
from sidecar.core.process_events import GatewayCalled
from sidecar.telemetry.log import LineLogger, LogFormat, renderer, stamped
from sidecar.telemetry.metric_names import NAMESPACE
from sidecar.telemetry.redaction import Redactor

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_OTHER_METHOD: Final = "other"
_FROM_THE_START: Final = ("2xx", "4xx", "5xx", "partner-unreachable", "partner-outcome-unknown")
"""The codes whose series exist before the first call, so that an increase from 0 is seen. For other methods than GET
and POST this is only the last."""
_TOKEN_AGES: Final = ("up-to-300s", "over-300s")
SIGNS_UNTIL_S: Final = 300
"""One page of the partner's says that a signature's timestamp has to be within this time of the token's issue."""
_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class GatewayMetrics:
    """An event sink. `profiles` are those that have a gateway."""

    def __init__(self, registry: CollectorRegistry, profiles: Sequence[str]) -> None:
        self._calls = Counter(
            "gateway_requests_total",
            "Requests of apps to the gateway.",
            ("profile", "method", "code"),
            namespace=NAMESPACE,
            registry=registry,
        )
        for labels in itertools.product(profiles, ("GET", "POST"), _FROM_THE_START):
            self._calls.labels(*labels)
        for labels in itertools.product(profiles, (*_METHODS, _OTHER_METHOD), _FROM_THE_START[-1:]):
            self._calls.labels(*labels)
        self._durations = Histogram(
            "gateway_request_duration_seconds",
            "Duration of requests to the gateway, the partner's response included.",
            ("profile",),
            namespace=NAMESPACE,
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._bad_requests = Counter(
            "gateway_signed_bad_requests_total",
            "Signed requests that the partner answered with 400, by the age of their token.",
            ("profile", "token_age"),
            namespace=NAMESPACE,
            registry=registry,
        )
        for profile, age in itertools.product(profiles, _TOKEN_AGES):
            self._durations.labels(profile)
            self._bad_requests.labels(profile, age)

    def emit(self, event: Event) -> None:
        if not isinstance(event, GatewayCalled):
            return
        method = event.method if event.method in _METHODS else _OTHER_METHOD
        self._calls.labels(event.profile, method, event.code).inc()
        self._durations.labels(event.profile).observe(event.duration_s)
        if event.signed and event.status == 400:
            self._bad_requests.labels(event.profile, _TOKEN_AGES[event.token_age_s > SIGNS_UNTIL_S]).inc()


class GatewayAudit(LineLogger):
    """Writes a line `audit` for each call, at every log level. No line has a body, a query or a header."""

    def __init__(
        self, log_format: LogFormat, write_line: Callable[[str], object], redactor: Redactor, clock: Clock
    ) -> None:
        super().__init__(write_line, _flattened(redactor), stamped(clock), renderer(log_format))

    def emit(self, event: Event) -> None:
        if isinstance(event, GatewayCalled):
            self.write("info", event)


def _flattened(redactor: Redactor) -> Processor:
    """Replace the event by its fields, without empty ones.

    Field by field, in a third of the time of the log's processors: there is a line for each call. Method and path are
    the app's texts. Nothing else can hold a secret: profiles and codes are closed sets, the kernel supplies the
    caller, and the ids belong to tokens vended here.
    """

    def process(_logger: object, _level: str, line: EventDict) -> EventDict:
        event: GatewayCalled = line["event"]
        line["event"], line["profile"], line["endpoint"] = "audit", event.profile, "gateway"
        line["method"], line["path"] = redactor.text(event.method), redactor.text(event.path)
        line["caller"], line["code"], line["status"] = event.caller, event.code, event.status
        line["attempts"], line["complete"] = event.attempts, event.complete
        if event.token_id:
            line["token_id"] = event.token_id
        line["suspect"], line["signed"] = event.suspect, event.signed
        line["token_age_s"], line["duration_s"] = round(event.token_age_s, 6), round(event.duration_s, 6)
        if event.trace is not None:
            line["trace_id"], line["parent_id"] = event.trace.trace_id, event.trace.parent_id
        return line

    return process
