"""The faults that a sandbox can be told to have, and the plan of those that are pending."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
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
    "cut-off",
    "malformed-json",
    "not-object",
    "missing-token",
    "wrong-role",
    "huge",
    "redirect",
    "same-token",
    "extra-fields",
]


TOKEN_FAULTS: AbstractSet[FaultName] = frozenset({"missing-token", "wrong-role", "same-token", "extra-fields"})
"""These say something about a token, so they apply to token calls only."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault, as `POST /_sandbox/faults` takes it.

    It applies to the next `count` requests (0: to all until a reset). Without `path` these are the admitted token
    calls, only those of `operation` if that is given. With `path` they are all requests to it, only those of `method`
    if that is given; `*` at its end stands for any rest.

    `latency_s` delays every fault; `slow` only delays. `hang` never responds. `reset` closes the connection instead of
    responding. `processed`: the request takes effect first, as when the partner's own gateway fails after the payment
    was created. `lost-reply` is `reset` after a request that succeeded. `truncated` is half of the body as if it were
    the whole; `cut-off` ends the connection there. `status`, `retry_after`: for `status`. `extra`: for `extra-fields`.
    """

    fault: FaultName
    count: int = 1
    operation: Operation | None = None
    path: str | None = None
    method: str | None = None
    latency_s: Seconds = 0
    processed: bool = False
    status: int = 500
    retry_after: str | None = None
    extra: dict[str, object] = {}

    def __post_init__(self) -> None:
        if self.path is None and self.method is not None:
            raise ValueError("method needs path")
        if self.path is not None and (self.operation is not None or self.fault in TOKEN_FAULTS):
            raise ValueError("path cannot be combined with operation, nor with a fault of token calls")
        if not 200 <= self.status <= 599:
            raise ValueError("status must be from 200 to 599")

    def is_of_call(self, operation: Operation) -> bool:
        return self.path is None and self.operation in (None, operation)

    def is_of_request(self, method: str, path: str) -> bool:
        if self.path is None or self.method not in (None, method):
            return False
        return path.startswith(self.path[:-1]) if self.path.endswith("*") else path == self.path


class FaultPlan:
    """The pending faults, in the order in which they were added."""

    def __init__(self) -> None:
        self._pending: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        self._pending.append((fault, fault.count))

    def clear(self) -> None:
        self._pending.clear()

    def take(self, operation: Operation) -> Fault | None:
        """Return the fault for this token call, if any, and reduce its count by one."""
        return self._take(lambda fault: fault.is_of_call(operation))

    def take_for_path(self, method: str, path: str) -> Fault | None:
        """Return the fault for this request, if any, and reduce its count by one."""
        return self._take(lambda fault: fault.is_of_request(method, path))

    def _take(self, applies: Callable[[Fault], bool]) -> Fault | None:
        for place, (fault, left) in enumerate(self._pending):
            if applies(fault):
                if left == 1:
                    del self._pending[place]
                elif left > 1:
                    self._pending[place] = (fault, left - 1)
                return fault
        return None
