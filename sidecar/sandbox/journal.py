"""What arrived at a sandbox: every token call, and the last requests of any kind, without secrets."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from sidecar.core.model import MonotonicTime, Operation, UtcTime

SignatureState: TypeAlias = Literal["valid", "wrong", "stale", "missing", "unchecked"]

KEPT_ARRIVALS = 10_000
OTHER_PATHS = "(other)"
HIDDEN = "***"


@dataclass(slots=True)
class Call:
    """One token call. `status` is 0 until a response is sent, and stays 0 if none is."""

    preset: str
    operation: Operation
    at: UtcTime
    at_monotonic: MonotonicTime
    """By the monotonic clock of the sandbox's process; for differences."""
    status: int = 0


@dataclass(slots=True)
class Arrival:
    """One request to the partner, from when its head arrived. `path` has no query.

    `whole`: the body arrived too. `signature` is None where none is expected: token calls and the checkout page. It is
    `unchecked` without a signing key. `status` is 0 until a response is sent, and stays 0 if none is.
    """

    at: UtcTime
    method: str
    path: str
    known_path: bool
    whole: bool = False
    partner_reference: str | None = None
    signature: SignatureState | None = None
    status: int = 0

    def shown(self) -> dict[str, object]:
        return {
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "whole": self.whole,
            "partnerReference": self.partner_reference,
            "signature": self.signature,
        }


class Journal:
    """Holds every token call and the last requests, each in order of arrival, and the number of requests by status."""

    def __init__(self, probe_paths: frozenset[str] = frozenset()) -> None:
        self.calls: list[Call] = []
        self.arrivals: deque[Arrival] = deque(maxlen=KEPT_ARRIVALS)
        self._probe_paths = probe_paths
        self._counts: dict[tuple[str, str], Counter[int]] = {}
        """By method and path; paths that the partner does not have are one."""

    def add(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        self._counter(arrival)[0] += 1

    def answered(self, arrival: Arrival, status: int) -> None:
        arrival.status = status
        counter = self._counter(arrival)
        counter[0] -= 1
        counter[status] += 1

    def shown(self) -> dict[str, object]:
        """`{"counts": {"POST /path": {status: n}}, "requests": [{at, method, path, …}]}`.

        `counts` is about all requests, `requests` about the last 10,000. Status 0: no response was sent, or not yet.
        """
        counts = {f"{method} {path}".lstrip(): dict(+each) for (method, path), each in self._counts.items()}
        return {"counts": counts, "requests": [arrival.shown() for arrival in self.arrivals]}

    def stats(self) -> dict[str, object]:
        """`{"counts": {"grant" | "refresh" | "probe": {status: n}}, "calls": [{preset, operation, at, …, status}]}`."""
        counts = {
            **{str(name): Counter(call.status for call in self.calls if call.operation == name) for name in Operation},
            "probe": self._probes(),
        }
        return {"counts": counts, "calls": [asdict(call) for call in self.calls]}

    def _counter(self, arrival: Arrival) -> Counter[int]:
        name = (arrival.method, arrival.path) if arrival.known_path else ("", OTHER_PATHS)
        return self._counts.setdefault(name, Counter())

    def _probes(self) -> Counter[int]:
        probes: Counter[int] = Counter()
        for (_method, path), each in self._counts.items():
            if path in self._probe_paths:
                probes.update({status: n for status, n in each.items() if status})
        return probes
