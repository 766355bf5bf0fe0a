"""The state of one running sandbox: its accounts, its accepted credentials, its pending faults and its journal."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass

from sidecar.core.model import MonotonicTime, Operation, UtcTime
from sidecar.core.ports import Clock
from sidecar.sandbox.account import Account, SandboxConfig
from sidecar.sandbox.faults import FaultPlan


@dataclass(slots=True)
class Call:
    """One token call. `status` is 0 until a response is sent, and stays 0 if none is."""

    preset: str
    operation: Operation
    at: UtcTime
    at_monotonic: MonotonicTime
    """By the monotonic clock of the sandbox's process; for differences."""
    status: int = 0


class Journal:
    """Holds every token call in order of arrival, and the number of probes by status."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.probes: Counter[int] = Counter()

    def stats(self) -> dict[str, object]:
        """`{"counts": {"grant" | "refresh" | "probe": {status: n}}, "calls": [{preset, operation, at, …, status}]}`."""
        counts = {
            **{str(name): Counter(call.status for call in self.calls if call.operation == name) for name in Operation},
            "probe": self.probes,
        }
        return {"counts": counts, "calls": [asdict(call) for call in self.calls]}


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
        self.credentials = {f"{api_key}:{api_secret}".encode()}

    def accept(self, api_key: str, api_secret: str) -> None:
        """Accept these credentials too from now on."""
        self.credentials.add(f"{api_key}:{api_secret}".encode())
