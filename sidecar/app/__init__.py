"""The composition root: the only room that sees every adapter. Builds each object once, opens and closes in order."""

from sidecar.app.checking import CheckLine, check
from sidecar.app.clock import SystemClock
from sidecar.app.demo import demo
from sidecar.app.running import load_settings, run
from sidecar.app.service import Service
from sidecar.app.serving import serve

__all__ = ["CheckLine", "Service", "SystemClock", "check", "demo", "load_settings", "run", "serve"]
