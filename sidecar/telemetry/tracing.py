"""Events as OpenTelemetry spans, sent by OTLP over HTTP: the extra `otel`, imported only when it is enabled.

A caller's trace gets a span for each of its requests, sampled as the caller specifies. Each partner call begins its own
trace, because it serves all callers. All settings are the SDK's environment variables:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from urllib.parse import urlsplit

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from sidecar.core.events import Event, PartnerCalled
from sidecar.core.model import Seconds
from sidecar.core.ports import Clock
from sidecar.core.process_events import GatewayCalled, RequestServed
from sidecar.core.proxies import is_loopback
from sidecar.core.trace_context import TraceContext

SERVICE_NAME = "pay1st-token-sidecar"
_GOOD = ("ok", "not-modified")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_CREDENTIAL_PROVIDERS = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
)
"""With one of these the SDK uses the provider's session, and a session of ours would disable that."""


_logger = logging.getLogger(__name__)


class Spans:
    """An event sink. Spans wait in memory (2,048 at most) until a thread of the SDK sends them."""

    def __init__(self, version: str, clock: Clock) -> None:
        """Raises the SDK's errors about its variables. A trial span is made and discarded to check those of spans."""
        ours = Resource.create({"service.name": SERVICE_NAME, "service.version": version})
        self._provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_exporter()))
        self._tracer = self._provider.get_tracer("sidecar", version)
        self._clock = clock
        try:
            self._tracer.start_span("trial")
        except Exception:
            self._provider.shutdown()
            raise

    def emit(self, event: Event) -> None:
        """Never raises: tracing stops no request and no partner call."""
        try:
            self._emit(event)
        except Exception:
            _logger.exception("a span could not be made")

    def _emit(self, event: Event) -> None:
        match event:
            case RequestServed(trace=TraceContext() as trace):
                code = "" if event.code in _GOOD else event.code
                attributes = {"token_sidecar.profile": event.profile, "token_sidecar.code": event.code}
                name, parent = f"sidecar {event.endpoint}", _parent(trace)
                self._span(name, SpanKind.SERVER, event.duration_s, attributes, code, parent)
            case GatewayCalled(trace=TraceContext() as trace):
                code = "" if event.code in ("2xx", "3xx") else event.code
                attributes = {"token_sidecar.profile": event.profile, "token_sidecar.code": event.code}
                self._span("sidecar gateway", SpanKind.SERVER, event.duration_s, attributes, code, _parent(trace))
            case PartnerCalled():
                error = "" if event.outcome == "ok" else event.cause or event.outcome
                attributes = {"token_sidecar.profile": event.profile, "token_sidecar.outcome": str(event.outcome)}
                self._span(
                    f"partner {event.operation}", SpanKind.CLIENT, event.duration_s, attributes, error, Context()
                )
            case _:
                pass

    def _span(
        self, name: str, kind: SpanKind, duration_s: Seconds, attributes: dict[str, str], error: str, parent: Context
    ) -> None:
        """Record a span that ends now; `error` is empty on success."""
        end = self._clock.wall()
        span = self._tracer.start_span(
            name, context=parent, kind=kind, attributes=attributes, start_time=_nanoseconds(end - duration_s)
        )
        if error:
            span.set_attribute("error.type", error)
            span.set_status(StatusCode.ERROR)
        span.end(_nanoseconds(end))

    async def close(self, limit_s: Seconds) -> None:
        """Send the waiting spans, for at most `limit_s`: an unreachable collector must not delay the shutdown."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            # The loop may be closed by now, when the collector was slow.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        # A daemon thread: the process waits for the loop's own threads when it ends.
        threading.Thread(target=shut_down, daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await done.wait()


def _exporter() -> OTLPSpanExporter:
    """Return an exporter that uses no proxy to loopback; the SDK's session would, unless `NO_PROXY` names the host."""
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    nearby = is_loopback(urlsplit(endpoint).hostname or "")
    if not nearby or any(os.environ.get(name) for name in _CREDENTIAL_PROVIDERS):
        return OTLPSpanExporter()
    session = requests.Session()
    session.trust_env = False
    return OTLPSpanExporter(session=session)


def _parent(trace: TraceContext) -> Context:
    flags = TraceFlags(TraceFlags.SAMPLED if trace.sampled else TraceFlags.DEFAULT)
    caller = SpanContext(int(trace.trace_id, 16), int(trace.parent_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(caller), Context())


def _nanoseconds(at: Seconds) -> int:
    return int(at * 1_000_000_000)
