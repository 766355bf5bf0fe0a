"""The receivers of events: metrics, log and latest events, and the audit and the spans where the settings name them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TextIO, cast

from sidecar import __version__
from sidecar.app.tracing import open_spans
from sidecar.config.settings import Settings
from sidecar.core.events import Level, LogLinesDropped
from sidecar.core.model import Seconds
from sidecar.core.ports import AuditSink, Clock, EventSink
from sidecar.file_operations import FileStalls
from sidecar.telemetry.audit import Audit
from sidecar.telemetry.audit_lines import open_lines
from sidecar.telemetry.event_fields import event_fields
from sidecar.telemetry.fanout import Fanout
from sidecar.telemetry.library_logs import capture_library_logs
from sidecar.telemetry.line_writer import LineStream, LineWriter
from sidecar.telemetry.log import LogSink
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.recent_events import RecentEvents
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.api import TokenProvider
from sidecar.web.caller_tokens import CallerTokens
from sidecar.web.server.fast_path import FastPath


class Observers:
    """`sink` sends events to all but the audit, which gets callers' requests only. The audit is None when off."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        log: TextIO | None,
        vendors: Callable[[], Iterable[TokenProvider]],
        connections: Callable[[], Mapping[str, int]],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.redactor = Redactor()
        self.redactor.register(settings.store_url)
        log_format = cast(Literal["json", "console"], settings.log_format)
        self._lines = LineWriter(log)
        output = self._lines.output("log")
        self._log = LogSink(log_format, cast(Level, settings.log_level), output, self.redactor, clock)
        self.recent = RecentEvents(clock)
        names = [profile.profile.name for profile in settings.profiles]
        self.metrics = Metrics(
            vendors, names, __version__, connections, lambda: self._lines.dropped, lambda: self.stalls()
        )
        self.spans, self.warnings = open_spans(clock) if settings.traces else (None, ())
        told: list[EventSink] = [self.metrics, self._log, self.recent]
        self.sink = Fanout([*told, self.spans] if self.spans is not None else told)
        self.stalls = FileStalls(self.sink)
        self.audit: AuditSink | None = None
        if settings.audit != "off":
            lines = open_lines(log_format, self._lines.output("audit"), self.redactor, clock)
            self.audit = Audit(cast(Literal["changes", "all"], settings.audit), lines, clock)

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

        def told(dropped: Mapping[LineStream, int]) -> str:
            event = LogLinesDropped(log=dropped["log"], audit=dropped["audit"])
            # RuntimeError: the loop is closed, so no request reads the latest events any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self.recent.emit, event)
            # Written at every log level: audit lines may be among the dropped ones.
            return self._log.line(event.level, event.name, event_fields(event))

        self._lines.start(told)
        return capture_library_logs(self._log)

    async def close(self, limit_s: Seconds) -> None:
        """Send the spans that are queued, for `limit_s` at most."""
        if self.spans is not None:
            await self.spans.close(limit_s)

    def close_log(self, limit_s: Seconds) -> None:
        """Write the lines that are queued, for `limit_s` at most. Blocks: nothing else runs any more."""
        self._lines.close(limit_s)
