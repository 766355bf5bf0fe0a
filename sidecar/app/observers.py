"""The receivers of events: metrics, log and latest events, and the audit and the spans where the settings name them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TextIO, cast

from sidecar import __version__
from sidecar.config.otel import PREFIX
from sidecar.config.schema import Settings
from sidecar.core.events import Event, Level, LogLinesDropped
from sidecar.core.model import Seconds
from sidecar.core.ports import AuditSink, Clock, EventSink
from sidecar.credentials.caller_token import CallerTokens
from sidecar.file_operations import FileStalls
from sidecar.telemetry.audit import Audit
from sidecar.telemetry.line_writer import LineStream, LineWriter
from sidecar.telemetry.log import LogFormat, LogSink, capture_library_logs
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.recent_events import RecentEvents
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.api import TokenProvider
from sidecar.web.server.fast_path import FastPath

if TYPE_CHECKING:
    from sidecar.telemetry.tracing import Spans


class Fanout:
    """Passes each event to every sink, in their order."""

    def __init__(self, sinks: Sequence[EventSink]) -> None:
        self._sinks = tuple(sinks)

    def emit(self, event: Event) -> None:
        for sink in self._sinks:
            sink.emit(event)


class Observers:
    """`sink` sends events to all but the audit, which gets callers' requests only. The audit is None when off."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        log: TextIO | None,
        providers: Callable[[], Iterable[TokenProvider]],
        connections: Callable[[], Mapping[str, int]],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.redactor = Redactor()
        self.redactor.register(settings.store.text)
        log_format = cast(LogFormat, settings.log_format)
        self._lines = LineWriter(log)
        write_line = partial(self._lines.put, "log")
        self._log = LogSink(log_format, cast(Level, settings.log_level), write_line, self.redactor, clock)
        self.recent = RecentEvents(clock)
        names = [profile.profile.name for profile in settings.profiles]
        gateways = [profile.profile.name for profile in settings.profiles if profile.gateway is not None]
        self.metrics = Metrics(
            providers, names, __version__, connections, lambda: self._lines.dropped, lambda: self.stalls(), gateways
        )
        self.spans, self.warnings = open_spans(clock) if settings.traces else (None, ())
        sinks: list[EventSink] = [self.metrics, self._log, self.recent]
        self.sink = Fanout(sinks if self.spans is None else [*sinks, self.spans])
        self.stalls = FileStalls(self.sink)
        self.audit: AuditSink | None = None
        if settings.audit != "off":
            mode = cast(Literal["changes", "all"], settings.audit)
            self.audit = Audit(mode, log_format, partial(self._lines.put, "audit"), self.redactor, clock)

    def gateway_audit(self) -> EventSink:
        """Return the sink that writes a line for each call through a gateway, whatever the setting of the audit is."""
        from sidecar.telemetry.gateway import GatewayAudit

        log_format = cast(LogFormat, self._settings.log_format)
        return GatewayAudit(log_format, partial(self._lines.put, "audit"), self.redactor, self._clock)

    def fast_path(self, caller_tokens: Callable[[], CallerTokens | None]) -> FastPath | None:
        """Return the fast path; None when it is off or when the log has a line for each request (`debug`)."""
        settings = self._settings
        if not settings.warm or settings.log_level == "debug":
            return None
        return FastPath(
            self._clock,
            self.metrics.requests.tally,
            max_head_bytes=settings.limits.max_header_bytes,
            caller_tokens=caller_tokens,
            audit=self.audit,
            spans=self.spans,
        )

    def start_log(self) -> Callable[[], None]:
        """Begin to write the log, with the log records of libraries until the returned function is called."""
        loop = asyncio.get_running_loop()

        def dropped_line(dropped: Mapping[LineStream, int]) -> str:
            event = LogLinesDropped(log=dropped["log"], audit=dropped["audit"])
            # RuntimeError: the loop is closed, so no request reads the latest events any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self.recent.emit, event)
            # Written at every log level: audit lines may be among the dropped ones.
            return self._log.line(event.level, event)

        self._lines.start(dropped_line)
        return capture_library_logs(self._log)

    async def close(self, limit_s: Seconds) -> None:
        """Send the spans that are queued, for `limit_s` at most."""
        if self.spans is not None:
            await self.spans.close(limit_s)

    def close_log(self, limit_s: Seconds) -> None:
        """Write the lines that are queued, for `limit_s` at most. Blocks: nothing else runs any more."""
        self._lines.close(limit_s)


def open_spans(clock: Clock) -> tuple[Spans | None, tuple[str, ...]]:
    """Return the sink of spans; None with a warning when it cannot be opened.

    Only the SDK can check some of its variables, such as names of plug-ins. When it fails, the warning names all that
    are set.
    """
    try:
        from sidecar.telemetry.tracing import Spans
    except ImportError:
        return None, ("OpenTelemetry's variables ask for traces, but the extra 'otel' is not installed: none are sent",)
    except Exception as error:  # noqa: BLE001 - a third-party package that reads the environment when it is imported
        return None, (_refused(error),)
    try:
        return Spans(__version__, clock), ()
    except Exception as error:  # noqa: BLE001 - the SDK may raise any exception, RuntimeError and StopIteration included
        return None, (_refused(error),)


def _refused(error: Exception) -> str:
    """Return the warning, without the error's text, which may quote a value."""
    names = ", ".join(sorted(name for name in os.environ if name.startswith(PREFIX)))
    return f"OpenTelemetry's SDK refuses its variables ({type(error).__name__}), so no traces are sent: look at {names}"
