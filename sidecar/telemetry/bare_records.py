"""Library logs while no service runs (`check`, the sandbox). Logger and place only: a text may quote a secret."""

from __future__ import annotations

import logging
import sys

from sidecar.core.safe_traceback import bare_line
from sidecar.telemetry.unread_streams import takes_a_line


class BareRecords(logging.Handler):
    """Writes one line to stderr for each record."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        # stderr may be closed while the process ends.
        if takes_a_line(sys.stderr):
            sys.stderr.write(bare_line(f"{record.name} ({record.filename}:{record.lineno})", error) + "\n")


def install() -> None:
    """Write records that no handler takes in this form, instead of with their text."""
    logging.lastResort = BareRecords(logging.WARNING)
