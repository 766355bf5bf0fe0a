"""The certificates that partner calls trust. Changes of their files are loaded."""

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
"""How long a call waits for a check of the files. After that it uses the last result."""


@dataclass(frozen=True, slots=True)
class _Trust:
    """`context` is a value for aiohttp's `ssl`. True: aiohttp's own context, made of the files at its import."""

    context: ssl.SSLContext | Literal[True]
    problem: str = ""
    """Why the current files are not used."""


class PartnerCertificates:
    """Returns the TLS context of the current files for each partner call."""

    def __init__(self, sink: EventSink, stalls: FileStalls) -> None:
        """Blocks for a check of the files, for at most `STALLED_AFTER_S`. Raises `FileOperationError`."""
        self._sink = sink
        self._trusted = TrustedCertificates(os.environ)
        self._trust = _Trust(True)
        self._in_use: ssl.SSLContext | Literal[True] | None = None if self._trusted.folders else True
        """The context at the latest event; None before the first reading, if that makes its own context."""
        operations = FileOperations("partner-certificates", stalls)
        self._reading = BackgroundReading(self._read, operations, on_end=self._tell)
        # aiohttp has loaded these, and loading them again would double the memory. But for a folder it makes OpenSSL
        # read the needed files in each handshake, on the event loop.
        self._version: Version | None = None if self._trusted.folders else read_in_time(self._trusted.version)

    async def context(self) -> ssl.SSLContext | Literal[True]:
        """Return the value for aiohttp's `ssl`."""
        try:
            return (await self._reading.read(WAIT_S)).context
        except FileOperationError:
            return self._trust.context

    def _read(self) -> _Trust:
        """Runs in a thread. Keeps the previous context when the files cannot be used."""
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
