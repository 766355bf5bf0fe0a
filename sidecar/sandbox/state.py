"""The state of one running sandbox: its accounts, its accepted credentials, its pending faults and its journal."""

from __future__ import annotations

import asyncio
import base64

from sidecar.core.model import Secret, UtcTime
from sidecar.core.ports import Clock
from sidecar.sandbox.account import Account
from sidecar.sandbox.assertions import Assertions
from sidecar.sandbox.config import SandboxConfig
from sidecar.sandbox.faults import FaultPlan
from sidecar.sandbox.journal import Journal
from sidecar.sandbox.payments import PaymentBook

SHORTEST_SECRET = 8
"""In characters. Shorter ones are not looked for in the journal, where they would match ordinary words."""


class SandboxState:
    """Shared by the partner's endpoints, which read it, and the control path, which changes it."""

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.stopping = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        """Restore the configured state: no calls, no tokens, no payments, no faults, the first credentials."""
        self.accounts = {one.name: Account(self.config, self.clock) for one in self.config.partners}
        self.payments = PaymentBook(self.clock)
        self.journal = Journal(frozenset(one.probe_path for one in self.config.partners if one.probe_path))
        self.faults = FaultPlan()
        self.assertions = Assertions()
        self.signing_key = self.config.signing_key
        self.rotate(self.config.api_key.reveal(), self.config.api_secret.reveal())

    def rotate(self, api_key: str, api_secret: str, signing_key: str | None = None) -> None:
        """Accept only these credentials from now on; issued tokens stay valid. None keeps the signing key."""
        self.credentials = {f"{api_key}:{api_secret}".encode()}
        if signing_key is not None:
            self.signing_key = Secret(signing_key)

    def accept(self, api_key: str, api_secret: str) -> None:
        """Accept these credentials too from now on."""
        self.credentials.add(f"{api_key}:{api_secret}".encode())

    def partner_time(self) -> UtcTime:
        """Return the time by the partner's clock."""
        return self.clock.wall() + self.config.clock_offset_s

    def holds_secret(self, text: str) -> bool:
        """Whether the text contains a key or secret, one of the start or a current one, or both as Basic sends them."""
        config = self.config
        pairs = {f"{config.api_key.reveal()}:{config.api_secret.reveal()}".encode(), *self.credentials}
        known = {base64.b64encode(pair).decode() for pair in pairs}
        known.update(part for pair in pairs for part in pair.decode().split(":", 1))
        known.update(key.reveal() for key in (config.signing_key, self.signing_key) if key is not None)
        return any(secret in text for secret in known if len(secret) >= SHORTEST_SECRET)
