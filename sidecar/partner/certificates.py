"""The certificates that partner calls trust, followed as their files change."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from typing import Literal

from sidecar.core.file_events import PartnerCertificatesChanged, PartnerCertificatesUnreadable
from sidecar.core.model import Seconds
from sidecar.core.ports import EventSink
from sidecar.file_operations import BackgroundReading, FileOperationError, FileOperations, FileStalls, read_in_time
from sidecar.trusted_certificates import TrustedCertificates, Version, words_for

WAIT_S: Seconds = 1
"""How long a call waits for a look at the files. After that it uses what was read before."""


@dataclass(frozen=True, slots=True)
class _Trust:
    """`context` as aiohttp takes it: True is its own context, made of the files as they were when it was imported."""

    context: ssl.SSLContext | Literal[True]
    problem: str = ""
    """Why the files as they are now are not used."""


class PartnerCertificates:
    """Gives each partner call the TLS context for the files as they are at that moment."""

    def __init__(self, sink: EventSink, stalls: FileStalls) -> None:
        """Blocks for a look at the files, `STALLED_AFTER_S` at most. Raises `FileOperationError`."""
        self._sink = sink
        self._trusted = TrustedCertificates(os.environ)
        self._trust = _Trust(True)
        self._in_use: ssl.SSLContext | Literal[True] | None = None if self._trusted.folders else True
        """As of the latest event; None before the first reading, where that is to make a context of its own."""
        operations = FileOperations("partner-certificates", stalls)
        self._reading = BackgroundReading(self._read, operations, on_end=self._tell)
        # aiohttp has loaded these, and loading them again would take as much memory once more. But of a folder it made
        # OpenSSL read what it needs in each handshake, on the event loop.
        self._version: Version | None = None if self._trusted.folders else read_in_time(self._trusted.version)

    async def context(self) -> ssl.SSLContext | Literal[True]:
        """Return what aiohttp's `ssl` takes."""
        try:
            return (await self._reading.read(WAIT_S)).context
        except FileOperationError:
            return self._trust.context

    def _read(self) -> _Trust:
        """Runs in a thread. What cannot be used leaves the context of before."""
        version = self._trusted.version()
        if version != self._version:
            self._version = version
            try:
                self._trust = _Trust(self._trusted.load())
            except OSError as error:
                self._trust = _Trust(self._trust.context, f"{self._trusted.place}: {words_for(error)}")
        return self._trust

    def _tell(self, changed: bool) -> None:
        if not changed:
            return
        trust = self._trust
        if trust.problem:
            self._sink.emit(PartnerCertificatesUnreadable(problem=trust.problem))
        elif self._in_use not in (None, trust.context):
            self._sink.emit(PartnerCertificatesChanged())
        self._in_use = trust.context
