"""Opens what sends traces, or says why there are none: OpenTelemetry's variables never stop the service."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sidecar import __version__
from sidecar.config.otel import PREFIX
from sidecar.core.ports import Clock

if TYPE_CHECKING:
    from sidecar.telemetry.tracing import Spans


def open_spans(clock: Clock) -> tuple[Spans | None, tuple[str, ...]]:
    """The sink of spans; None with a warning where they cannot be had.

    Only the SDK can judge some of its variables, such as names of plug-ins: when it fails, all that are set are named.
    """
    try:
        from sidecar.telemetry.tracing import Spans
    except ImportError:
        return None, ("OpenTelemetry's variables ask for traces, but the extra 'otel' is not installed: none are sent",)
    except Exception as error:  # noqa: BLE001 - a package that is not ours, and reads the environment as it is imported
        return None, (_refused(error),)
    try:
        return Spans(__version__, clock), ()
    except Exception as error:  # noqa: BLE001 - the SDK raises what it likes, RuntimeError and StopIteration included
        return None, (_refused(error),)


def _refused(error: Exception) -> str:
    """Without the error's text, which may quote a value."""
    names = ", ".join(sorted(name for name in os.environ if name.startswith(PREFIX)))
    return f"OpenTelemetry's SDK refuses its variables ({type(error).__name__}), so no traces are sent: look at {names}"
