"""What a stored gate says beyond what any replica writes, brought back: as `lua/_gate.lua` does it on Redis.

Whoever can write to the store may plant it, or somebody set a clock. A pause without end is made one of a day, so that
a fleet comes back without a person who finds the key.
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
    """Whether its fences can be ours: from one beyond, the next ones would soon leave the bounds of every value."""
    return max(_fences(found)) < now_ms + FENCE_AHEAD_MS


def _fences(found: Coordination | StoredToken) -> Iterator[int]:
    yield found.fence
    if isinstance(found, Coordination):
        facts: list[_Fenced | None] = [found.lease, found.pause, found.reported, found.confirmed, found.learned]
        facts += [*found.strikes.values(), *found.credential_blocks.values(), *found.grants]
        yield from (fact.fence for fact in facts if fact is not None)
        yield from found.proven.values()


def mend(gate: Coordination, now_ms: int) -> None:
    """Nothing starts in the future, runs longer than a day or was counted beyond what a person would."""
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
