"""What a stored gate says beyond what any replica writes, brought back: as `scripts/_gate.lua` does it on Redis.

Whoever can write to the store may plant it, or somebody set a clock. A pause without end is made one of a day, so that
a fleet comes back without a person who finds the key.
"""

from __future__ import annotations

from sidecar.stores.gate import (
    FENCE_AHEAD_MS,
    LONGEST_SPAN_MS,
    MOST_STRIKES,
    Gate,
    Lease,
    StoredPause,
    StoredToken,
)


def is_credible(found: Gate | StoredToken, now_ms: int) -> bool:
    """Whether its fences can be ours: from one beyond, the next ones would soon leave the bounds of every value."""
    fences = [found.fence]
    if isinstance(found, Gate) and found.lease is not None:
        fences.append(found.lease.fence)
    return max(fences) < now_ms + FENCE_AHEAD_MS


def mend(gate: Gate, now_ms: int) -> None:
    """Nothing starts in the future, runs longer than a day or was counted beyond what a person would."""
    gate.born_ms = min(gate.born_ms, now_ms)
    gate.grants_ms = [min(at_ms, now_ms) for at_ms in gate.grants_ms]
    gate.demand_ms = [min(at_ms, now_ms) for at_ms in gate.demand_ms]
    gate.strikes = {kind: min(strikes, MOST_STRIKES) for kind, strikes in gate.strikes.items()}
    for span in (gate.lease, gate.pause, *gate.refused.values()):
        if span is not None:
            _mend_span(span, now_ms)


def _mend_span(span: Lease | StoredPause, now_ms: int) -> None:
    if span.from_ms > now_ms:
        span.from_ms, span.until_ms = now_ms, now_ms + span.until_ms - span.from_ms
    span.until_ms = min(span.until_ms, span.from_ms + LONGEST_SPAN_MS)
    if isinstance(span, StoredPause):
        span.strikes = min(span.strikes, MOST_STRIKES)
