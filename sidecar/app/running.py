"""Loads a command's settings and runs its event loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import uvloop

from sidecar.app.process import write_to_stderr
from sidecar.app.settings_files import problems_with_files
from sidecar.config.load import load
from sidecar.config.schema import Settings
from sidecar.partner.presets import PRESETS

T = TypeVar("T")


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Load settings from the environment. Raises `ConfigurationError` with every problem, also those of files."""
    return load(environ, PRESETS, problems_with_files)


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine on uvloop to its end and return its result.

    Log records of libraries are one line on stderr each, unless a service takes them: logger and place alone, because
    a text may quote a secret.
    """
    logging.lastResort = _BareRecords(logging.WARNING)
    return uvloop.run(main())


class _BareRecords(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        write_to_stderr(f"{record.name} ({record.filename}:{record.lineno})", error)
