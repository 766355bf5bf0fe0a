"""How long a partner asks us to wait (RFC 9110 section 10.2.3)."""

from __future__ import annotations

import re

from sidecar.core.model import Instant, Seconds
from sidecar.core.policy import MAX_RETRY_AFTER_S
from sidecar.partner.http_dates import parse_http_date

# Ten digits are beyond every usable wait: a longer run is never turned into a number.
_DELTA = re.compile("[0-9]{1,10}")


def parse_retry_after(value: str | None, date_header: str | None, now_wall: Instant) -> Seconds | None:
    """The wait in a `Retry-After` value, in (0, `MAX_RETRY_AFTER_S`], or None when it holds no usable one.

    A date counts from the answer's own `Date` where there is one: the difference of two readings of the partner's
    clock is right even when ours is not.
    """
    if value is None:
        return None
    # HTTP's own white space: `strip()` would take separators away that `float()` refuses.
    digits = value.strip(" \t")
    if _DELTA.fullmatch(digits):
        wait_s = float(digits)
    else:
        until = parse_http_date(value, now_wall)
        if until is None:
            return None
        wait_s = until - answered_at(date_header, now_wall)
    return wait_s if 0 < wait_s <= MAX_RETRY_AFTER_S else None


def answered_at(date_header: str | None, now_wall: Instant) -> Instant:
    """When the partner answered, by its own clock where it says so."""
    said = parse_http_date(date_header, now_wall) if date_header is not None else None
    return now_wall if said is None else said
