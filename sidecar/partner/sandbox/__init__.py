"""A simulated partner: documented answers, exact wire checks, a rate limit, and faults to switch on."""

from sidecar.partner.sandbox.config import SandboxConfig
from sidecar.partner.sandbox.server import Sandbox, run

__all__ = ["Sandbox", "SandboxConfig", "run"]
