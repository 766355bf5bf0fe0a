"""What libraries log while no service takes it (`check`, the sandbox): who and where, for a text may quote a secret."""

from __future__ import annotations

import logging
import sys

from sidecar.core.safe_traceback import bare_line
from sidecar.telemetry.unread_streams import takes_a_line


class BareRecords(logging.Handler):
    """One line on stderr for each record."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        # A process that ends may have no stderr any more.
        if takes_a_line(sys.stderr):
            sys.stderr.write(bare_line(f"{record.name} ({record.filename}:{record.lineno})", error) + "\n")


def install() -> None:
    """From now on, what nobody takes is told so, instead of with its text."""
    logging.lastResort = BareRecords(logging.WARNING)
