"""A simulated partner: documented responses, exact request checks, a rate limit, and faults to switch on."""

from sidecar.sandbox.account import SandboxConfig
from sidecar.sandbox.server import Sandbox

__all__ = ["Sandbox", "SandboxConfig"]
