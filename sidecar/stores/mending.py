"""Limits a stored coordination document to what replicas write, as `lua/_gate.lua` does on Redis.

Another writer to the store may have planted a value, or a clock was set. A pause without end is limited to a day, so
that a fleet recovers without an operator who removes the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from sidecar.stores.documents import (
    FENCE_AHEAD_MS,
    LONGEST_SPAN_MS,
    MOST_STRIKES,
    Coordination,
    Lease,
    StoredPause,
    StoredToken,
)


class _Fenced(Protocol):
    fence: int


def is_credible(found: Coordination | StoredToken, now_ms: int) -> bool:
    """Return whether its fences are in range: after a larger one, the next fences would soon exceed all bounds."""
    return max(_fences(found)) < now_ms + FENCE_AHEAD_MS


def _fences(found: Coordination | StoredToken) -> Iterator[int]:
    yield found.fence
    if isinstance(found, Coordination):
        facts: list[_Fenced | None] = [found.lease, found.pause, found.reported, found.confirmed, found.learned]
        facts += [*found.strikes.values(), *found.credential_blocks.values(), *found.grants]
        yield from (fact.fence for fact in facts if fact is not None)
        yield from found.proven.values()


def mend(gate: Coordination, now_ms: int) -> None:
    """Repair the document: no start is in the future, no span exceeds a day, no count exceeds `MOST_STRIKES`."""
    gate.born_ms = min(gate.born_ms, now_ms)
    for grant in gate.grants:
        grant.at_ms = min(grant.at_ms, now_ms)
    for failures in gate.strikes.values():
        failures.count = min(failures.count, MOST_STRIKES)
    for span in (gate.lease, gate.pause, *gate.credential_blocks.values()):
        if span is not None:
            _mend_span(span, now_ms)


def _mend_span(span: Lease | StoredPause, now_ms: int) -> None:
    if span.from_ms > now_ms:
        span.from_ms, span.until_ms = now_ms, now_ms + span.until_ms - span.from_ms
    span.until_ms = min(span.until_ms, span.from_ms + LONGEST_SPAN_MS)
    if isinstance(span, StoredPause):
        span.strikes = min(span.strikes, MOST_STRIKES)
