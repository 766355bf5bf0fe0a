"""Connects one profile's adapters to its use cases.

The receivers of events: metrics, log and latest events, and the audit and the spans where the settings name them.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TextIO, cast

import aiohttp

from sidecar import __version__
from sidecar.app.settings_files import BackgroundCredentials, read_seal_keys
from sidecar.app.tracing import open_spans
from sidecar.config.settings import ProfileSettings, Settings
from sidecar.core.errors import ConfigurationError
from sidecar.core.events import Event, Level, LogLinesDropped
from sidecar.core.model import Credentials, Profile, Seconds, Secret
from sidecar.core.ports import AuditSink, Clock, CredentialsSource, EventSink
from sidecar.credentials.caller_token import CallerTokens
from sidecar.credentials.directory import DirectoryCredentials, StaticCredentials
from sidecar.file_operations import FileOperationError, FileOperations, FileStalls
from sidecar.partner.client import PartnerClient
from sidecar.partner.presets import PRESETS
from sidecar.partner.transport import PartnerCertificates
from sidecar.stores.factory import Store, open_store
from sidecar.stores.sealing import AesSealer, OpenSealer, Sealer
from sidecar.telemetry.audit import Audit
from sidecar.telemetry.line_writer import LineStream, LineWriter
from sidecar.telemetry.log import LogFormat, LogSink, capture_library_logs
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.recent_events import RecentEvents
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.api import TokenProvider
from sidecar.vending.assembly import Assembly, assemble
from sidecar.vending.local_budget import LocalBudgets
from sidecar.vending.profile_vendor import ProfileVendor
from sidecar.vending.refresher import Beat
from sidecar.web.server.fast_path import FastPath

PAIRS = 4
"""How many of the latest credentials stay redacted: a partner may still quote them after their last use here."""


class RedactedCredentials:
    """Registers all credentials that are read with the redactor, so that none of them reaches a log line.

    The latest `PAIRS` and all that are still in use stay registered. Others are removed. Credentials that are equal to
    registered ones are returned as the same object, not as a copy.
    """

    def __init__(self, inner: CredentialsSource, redactor: Redactor) -> None:
        self._inner = inner
        self._redactor = redactor
        self._latest: deque[Credentials] = deque(maxlen=PAIRS)
        self._known: list[weakref.ref[Credentials]] = []

    def read(self) -> Credentials:
        return self.keep(self._inner.read())

    def keep(self, found: Credentials) -> Credentials:
        """Return the equal credentials that are registered already, if any; else register `found` and return it."""
        known = [pair for reference in self._known if (pair := reference()) is not None]
        pair = next((pair for pair in known if pair is found or pair == found), None)
        if pair is None:
            pair, secrets = found, tuple(_secrets(found))
            self._redactor.register(*secrets)
            # Not by count: the credentials that obtained the current token stay in use until others obtain one.
            weakref.finalize(pair, self._redactor.forget, *secrets).atexit = False
            self._known = [weakref.ref(each) for each in (*known, pair)]
        if not any(each is pair for each in self._latest):
            self._latest.append(pair)
        return pair


def _secrets(pair: Credentials) -> Iterator[Secret]:
    return (secret for secret in (pair.api_key, pair.api_secret, pair.signing_key) if secret is not None)


def credentials_source(
    settings: ProfileSettings, redactor: Redactor, stalls: FileStalls, on_change: Callable[[], None] = lambda: None
) -> CredentialsSource:
    """Return the mounted directory or the environment as source. `on_change` as for `BackgroundCredentials`."""
    if settings.credentials_dir is not None:
        directory = DirectoryCredentials(settings.credentials_dir)
        keep = RedactedCredentials(directory, redactor).keep
        place = str(settings.credentials_dir)
        operations = FileOperations("credentials", stalls, settings.profile.name)
        return BackgroundCredentials(directory, operations, place, keep=keep, on_change=on_change)
    if settings.credentials is not None:
        return RedactedCredentials(StaticCredentials(settings.credentials), redactor)
    raise ConfigurationError([f"profile {settings.profile.name} has no credentials"])


def settings_sealer(settings: Settings) -> Sealer:
    """Return the sealer of the settings. Raises `ConfigurationError`."""
    keys = None if settings.seal_key_file is None else read_seal_keys(settings.seal_key_file)
    return OpenSealer() if keys is None else AesSealer(keys)


def open_settings_store(settings: Settings, sealer: Sealer, clock: Clock, stalls: FileStalls) -> Store:
    """Open the store that the settings name. Raises `ConfigurationError`."""
    return open_store(settings.store_url, timeout_s=settings.store_timeout_s, sealer=sealer, clock=clock, stalls=stalls)


def partner_certificates(sink: EventSink, stalls: FileStalls) -> PartnerCertificates:
    """Return the certificates that partner calls trust. Raises `ConfigurationError`."""
    try:
        return PartnerCertificates(sink, stalls)
    except FileOperationError as error:
        raise ConfigurationError([f"trusted certificates: {error}"]) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The objects that all accounts of a process share."""

    replica_id: str
    clock: Clock
    store: Store
    session: aiohttp.ClientSession
    certificates: PartnerCertificates
    redactor: Redactor
    sink: EventSink
    beat: Beat
    budgets: LocalBudgets
    stalls: FileStalls

    def open_profile(self, settings: ProfileSettings) -> ProfileVendor:
        """Build one profile. Raises `CredentialsError`, `ConfigurationError`."""
        source = credentials_source(settings, self.redactor, self.stalls, lambda: vendor.reread_credentials())
        vendor = ProfileVendor(settings.profile, source, self._assemble, self.clock, self.sink)
        return vendor

    def _assemble(self, profile: Profile, credentials: CredentialsSource) -> Assembly:
        timeout_s, redactor = profile.partner_timeout_s, self.redactor
        return assemble(
            profile,
            replica_id=self.replica_id,
            clock=self.clock,
            store=self.store.shared_state(profile),
            partner=PartnerClient(
                PRESETS[profile.partner],
                profile.base_url,
                timeout_s,
                self.session,
                self.clock,
                lambda: redactor.texts,
                self.certificates,
            ),
            credentials=credentials,
            sink=self.sink,
            beat=self.beat,
            budgets=self.budgets,
        )


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
        vendors: Callable[[], Iterable[TokenProvider]],
        connections: Callable[[], Mapping[str, int]],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self.redactor = Redactor()
        self.redactor.register(settings.store_url)
        log_format = cast(LogFormat, settings.log_format)
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
            mode = cast(Literal["changes", "all"], settings.audit)
            self.audit = Audit(mode, log_format, self._lines.output("audit"), self.redactor, clock)

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
            return self._log.line(event.level, event)

        self._lines.start(told)
        return capture_library_logs(self._log)

    async def close(self, limit_s: Seconds) -> None:
        """Send the spans that are queued, for `limit_s` at most."""
        if self.spans is not None:
            await self.spans.close(limit_s)

    def close_log(self, limit_s: Seconds) -> None:
        """Write the lines that are queued, for `limit_s` at most. Blocks: nothing else runs any more."""
        self._lines.close(limit_s)
