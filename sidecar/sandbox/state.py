"""The state of one running sandbox."""

from __future__ import annotations

import asyncio

from sidecar.core.ports import Clock
from sidecar.sandbox.account import Account
from sidecar.sandbox.config import SandboxConfig
from sidecar.sandbox.faults import FaultPlan
from sidecar.sandbox.journal import Journal


class SandboxState:
    """Shared by the partner's endpoints, which read it, and the control path, which changes it."""

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.stopping = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        """Restore the configured state: no calls, no tokens, no faults, the first credentials."""
        self.accounts = {name: Account(self.config, self.clock) for name in self.config.presets}
        self.journal = Journal()
        self.faults = FaultPlan()
        self.rotate(self.config.api_key.reveal(), self.config.api_secret.reveal())

    def rotate(self, api_key: str, api_secret: str) -> None:
        """Accept only these credentials from now on; issued tokens stay valid."""
        self.pairs = {f"{api_key}:{api_secret}".encode()}

    def admit(self, api_key: str, api_secret: str) -> None:
        """Accept these credentials too from now on."""
        self.pairs.add(f"{api_key}:{api_secret}".encode())
