"""Formats UTC times for people and APIs."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from sidecar.core.model import UtcTime

_LAST_INSTANT: UtcTime = 253_402_300_799
"""The end of the year 9999, beyond which ISO 8601 has no four-digit year: a partner may declare any lifetime."""


def iso(at: UtcTime) -> str:
    """`2026-01-01T00:00:00Z`: UTC, rounded down to whole seconds, so that no expiry is shown too late."""
    return _text(int(min(max(at, 0), _LAST_INSTANT)))


@lru_cache(maxsize=64)
def _text(second: int) -> str:
    # Both times of a token are in each response with it.
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_or_none(at: UtcTime) -> str | None:
    """The same; None for the 0 that stands for "none"."""
    return iso(at) if at else None


def iso_ms(at: UtcTime) -> str:
    """`2026-01-01T00:00:07.412Z`: UTC, rounded down to whole milliseconds."""
    return f"{iso(at)[:-1]}.{int(min(max(at, 0), _LAST_INSTANT) * 1000) % 1000:03d}Z"
