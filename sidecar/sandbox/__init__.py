"""A simulated partner: documented responses, exact request checks, a rate limit, and faults to switch on."""

from sidecar.sandbox.config import SandboxConfig
from sidecar.sandbox.faults import Fault
from sidecar.sandbox.server import Sandbox

__all__ = ["Fault", "Sandbox", "SandboxConfig"]
