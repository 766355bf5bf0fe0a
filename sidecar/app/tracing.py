"""Opens the sink of spans, or returns why there is none: OpenTelemetry's variables never stop the service."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sidecar import __version__
from sidecar.config.otel import PREFIX
from sidecar.core.ports import Clock

if TYPE_CHECKING:
    from sidecar.telemetry.tracing import Spans


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
