"""The requests to a sandbox, for tests that count."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

from sidecar.core.model import MonotonicTime, Operation, UtcTime


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
        counted = {
            **{str(name): Counter(call.status for call in self.calls if call.operation == name) for name in Operation},
            "probe": self.probes,
        }
        return {"counts": counted, "calls": [asdict(call) for call in self.calls]}
