"""`Retry-After` and HTTP dates: a usable wait or none for any text.

An input is the `Retry-After` value, and on a second line the response's `Date`.
"""

from __future__ import annotations

import math
import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from sidecar.core.policy import MAX_RETRY_AFTER_S
from sidecar.partner.retry_after import parse_http_date, parse_retry_after
from tests.fuzz.findings import hold

WORDS = (
    b"120", b"1e309", b"-1", b"Wed, 21 Oct 2026 07:28:00 GMT", b"Sunday, 06-Nov-94 08:49:37 GMT", b"9999", b"12.5",
    b"300, 300", b" UTC", b" +0000", b"\n",
)  # fmt: skip
NOW_AT = 1_767_225_600.0
_YEAR_1000_AT = -30_610_224_000.0
_DIGITS = re.compile("[0-9]{1,9}")


def check(data: bytes) -> None:
    """Read the wait, and compare it with a plain reading of the same text."""
    # As aiohttp decodes header values.
    value, newline, date = data.decode("utf-8", "surrogateescape").partition("\n")
    wait_s = parse_retry_after(value, date if newline else None, NOW_AT)
    hold(true=wait_s is None or 0 < wait_s <= MAX_RETRY_AFTER_S, what="a wait is out of its bounds")
    if _DIGITS.fullmatch(value):
        expected = min(float(value), MAX_RETRY_AFTER_S) if int(value) else None
        hold(true=wait_s == expected, what="plain seconds were not taken as they stand")
    for text in (value, date):
        _hold_date(text)


def _hold_date(text: str) -> None:
    moment_at = parse_http_date(text, NOW_AT)
    if moment_at is None:
        return
    hold(true=math.isfinite(moment_at), what="a date is not finite")
    # The standard library reads short and very early years by a rule of its own, and refuses a leap second.
    if "-" not in text and ":60 " not in text and moment_at > _YEAR_1000_AT:
        library_at = _library_at(text)
        hold(true=library_at == moment_at, what=f"a date is {moment_at}, to the standard library {library_at}")


def _library_at(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError):
        return None
    # Without a zone it would count as this machine's; HTTP's are always GMT.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
