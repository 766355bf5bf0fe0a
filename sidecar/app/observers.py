"""Who is told what happens: metrics, log, latest events, and where they are asked for the audit and the spans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal, TextIO, cast

from sidecar import __version__
from sidecar.config.settings import Settings
from sidecar.core.events import Level
from sidecar.core.model import Seconds
from sidecar.core.ports import Clock, EventSink
from sidecar.telemetry.audit import Audit
from sidecar.telemetry.audit_lines import open_lines
from sidecar.telemetry.fanout import Fanout
from sidecar.telemetry.library_logs import capture_library_logs
from sidecar.telemetry.logs import LogSink
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.recent import RecentEvents
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.vendor import Vendor

if TYPE_CHECKING:
    from sidecar.telemetry.spans import Spans


class Observers:
    """`sink` tells all of them but the audit, which is told of callers alone; None: nobody asked for one."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        log: TextIO,
        vendors: Callable[[], Iterable[Vendor]],
        connections: Callable[[], Mapping[str, int]],
    ) -> None:
        self.redactor = Redactor()
        self.redactor.register(settings.store_url)
        log_format = cast(Literal["json", "console"], settings.log_format)
        self._log = LogSink(log_format, cast(Level, settings.log_level), log, self.redactor, clock)
        self.recent = RecentEvents(clock)
        names = [profile.profile.name for profile in settings.profiles]
        self.metrics = Metrics(vendors, names, __version__, connections)
        self.spans, self.warnings = _open_spans(clock) if settings.traces else (None, ())
        told: list[EventSink] = [self.metrics, self._log, self.recent]
        self.sink = Fanout([*told, self.spans] if self.spans is not None else told)
        self.audit: EventSink | None = None
        if settings.audit != "off":
            lines = open_lines(log_format, log, self.redactor, clock)
            self.audit = Audit(cast(Literal["changes", "all"], settings.audit), lines, clock)

    def capture_library_logs(self) -> Callable[[], None]:
        """What libraries log goes to our log, until the answer is called."""
        return capture_library_logs(self._log)

    async def close(self, limit_s: Seconds) -> None:
        """Send what has not been sent yet, for so long at most."""
        if self.spans is not None:
            await self.spans.close(limit_s)


def _open_spans(clock: Clock) -> tuple[Spans | None, tuple[str, ...]]:
    """With a warning where they cannot be had; variables may come from the platform, so it is no error."""
    try:
        from sidecar.telemetry.spans import Spans
    except ImportError:
        return None, ("OpenTelemetry's variables ask for traces, but the extra 'otel' is not installed: none are sent",)
    return Spans(__version__, clock), ()
