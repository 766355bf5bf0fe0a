"""The faults that a sandbox can be told to have, and the plan of those that are pending."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from sidecar.core.model import Operation, Seconds

FaultName: TypeAlias = Literal[
    "slow",
    "hang",
    "reset",
    "lost-reply",
    "status",
    "html",
    "empty",
    "truncated",
    "malformed-json",
    "not-object",
    "missing-token",
    "wrong-role",
    "huge",
    "redirect",
    "same-token",
    "extra-fields",
]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault, as `POST /_sandbox/faults` takes it.

    It applies to the next `count` admitted token calls (0: to all until a reset), only to those of `operation` if that
    is given. `latency_s` delays every fault; `slow` only delays. `hang` never responds. `reset` closes the connection
    instead of responding; `lost-reply` does so after a token was issued. `status`, `retry_after`: for `status`.
    `extra`: for `extra-fields`.
    """

    fault: FaultName
    count: int = 1
    operation: Operation | None = None
    latency_s: Seconds = 0
    status: int = 500
    retry_after: str | None = None
    extra: dict[str, object] = {}


class FaultPlan:
    """The pending faults, in the order in which they were added."""

    def __init__(self) -> None:
        self._pending: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        self._pending.append((fault, fault.count))

    def clear(self) -> None:
        self._pending.clear()

    def take(self, operation: Operation) -> Fault | None:
        """Return the fault for this call, if any, and reduce its count by one."""
        for place, (fault, left) in enumerate(self._pending):
            if fault.operation in (None, operation):
                if left == 1:
                    del self._pending[place]
                elif left > 1:
                    self._pending[place] = (fault, left - 1)
                return fault
        return None
