"""Loads a command's settings and runs its event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import uvloop

from sidecar.app.settings_files import problems_with_files
from sidecar.config.load import load
from sidecar.config.settings import Settings
from sidecar.partner.presets import PRESETS
from sidecar.telemetry import log

T = TypeVar("T")


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Load settings from the environment. Raises `ConfigurationError` with every problem, also those of files."""
    return load(environ, {name: preset.base_url for name, preset in PRESETS.items()}, problems_with_files)


def run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run the coroutine on uvloop to its end and return its result."""
    log.install()
    return uvloop.run(main())
