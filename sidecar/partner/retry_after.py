"""Reads the wait that a partner requests: `Retry-After` (RFC 9110 section 10.2.3), or the reset of its rate limit."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate

from sidecar.core.model import Seconds, UtcTime
from sidecar.core.policy import MAX_RETRY_AFTER_S

RESET_HEADERS = ("RateLimit-Reset", "X-RateLimit-Reset")
"""Of draft-ietf-httpapi-ratelimit-headers (up to 07), and the name in use before it."""
_SECONDS = re.compile(r"0*(?P<whole>[0-9]+)(?:\.[0-9]*)?")
_MAX_WHOLE_DIGITS = 15
"""More digits exceed every wait and every time, and are not converted to a number."""
_OLDEST_INSTANT_AT: UtcTime = 1_000_000_000
"""2001. As a wait it would be 31 years."""
_OLDEST_INSTANT_MS = 1_000 * _OLDEST_INSTANT_AT
# `parsedate` reads the date. It ignores the zone and accepts incomplete dates, so the form is checked first.
_TIME, _ZONE = r"\d\d:\d\d:\d\d", "(?:GMT|UTC|[+-]0000)"
_HTTP_DATE = re.compile(
    rf"[A-Z][a-z][a-z], \d\d \w\w\w [1-9]\d\d\d {_TIME} {_ZONE}"
    rf"|[A-Z][a-z]+day, \d\d-\w\w\w-(?P<short_year>\d\d) {_TIME} {_ZONE}"
    rf"|[A-Z][a-z][a-z] \w\w\w [ \d]\d {_TIME} [1-9]\d\d\d",
    re.ASCII,
)


def requested_wait_s(headers: Mapping[str, str], now_wall: UtcTime, *, throttled: bool) -> Seconds | None:
    """Return the wait in a response's headers, in (0, `MAX_RETRY_AFTER_S`], or None without a usable one.

    `throttled` (429): if `Retry-After` has none, `RateLimit-Reset` and then `X-RateLimit-Reset` are used. On other
    responses these describe a limit that did not cause the failure.
    """
    date_header = headers.get("Date")
    wait_s = parse_retry_after(headers.get("Retry-After"), date_header, now_wall)
    if throttled:
        for name in RESET_HEADERS:
            if wait_s is None:
                wait_s = _parse_reset(headers.get(name), date_header, now_wall)
    return wait_s


def parse_retry_after(value: str | None, date_header: str | None, now_wall: UtcTime) -> Seconds | None:
    """Return the wait in a `Retry-After` value, in (0, `MAX_RETRY_AFTER_S`], or None without a usable one.

    In addition to RFC 9110, decimals and a list of one repeated value are accepted: proxies write both. Decimals are
    rounded up, so that 12.5 is not 12, and 0.5 is not 0. A wait above a day is a day. A date counts from the response's
    own `Date` if it has one: the difference of two times of the partner's clock is right even when our clock is wrong.
    """
    if value is None:
        return None
    text = _without_repeats(value)
    wait_s = _parse_seconds(text)
    if wait_s is None:
        until = parse_http_date(text, now_wall)
        if until is None:
            return None
        wait_s = until - responded_at(date_header, now_wall)
    return _usable(wait_s)


def responded_at(date_header: str | None, now_wall: UtcTime) -> UtcTime:
    """Return when the partner responded: by its own clock if the response has a date, else by ours."""
    date = None if date_header is None else parse_http_date(date_header, now_wall)
    return now_wall if date is None else date


def parse_http_date(text: str, now_wall: UtcTime) -> UtcTime | None:
    """Return the time of an HTTP date, or None if it is invalid.

    Reads the current form and the two obsolete ones (RFC 9110 section 5.6.7). The zone may also be `UTC`, `+0000` or
    `-0000`, as mail libraries write it. A two-digit year more than 50 years after `now_wall` means the latest past year
    with these digits.
    """
    text = text.strip()
    form = _HTTP_DATE.fullmatch(text)
    parts = parsedate(text) if form else None
    if form is None or parts is None:
        return None
    year, month, day, hour, minute, second = parts[:6]
    if form["short_year"]:
        this_year = datetime.fromtimestamp(now_wall, UTC).year
        year = this_year - this_year % 100 + int(form["short_year"])
        year -= 100 if year > this_year + 50 else 0
    try:
        # Second 60, a leap second, is valid in HTTP, but datetime does not accept it.
        return datetime(year, month, day, hour, minute, 59 if second == 60 else second, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _parse_reset(value: str | None, date_header: str | None, now_wall: UtcTime) -> Seconds | None:
    """Return the wait in a reset header: seconds, or the time of the reset in epoch seconds or milliseconds.

    The size distinguishes them: no wait is as large as an epoch time.
    """
    number = None if value is None else _parse_seconds(_without_repeats(value))
    if number is None:
        return None
    if number >= _OLDEST_INSTANT_MS:
        number /= 1000
    return _usable(number if number < _OLDEST_INSTANT_AT else number - responded_at(date_header, now_wall))


def _usable(wait_s: Seconds) -> Seconds | None:
    return min(wait_s, MAX_RETRY_AFTER_S) if wait_s > 0 else None


def _parse_seconds(text: str) -> Seconds | None:
    """Return whole seconds, rounded up."""
    found = _SECONDS.fullmatch(text)
    if found is None:
        return None
    return math.ceil(float(text)) if len(found["whole"]) <= _MAX_WHOLE_DIGITS else math.inf


def _without_repeats(value: str) -> str:
    """Return the one value of a list that repeats it; else the whole text, which is invalid then.

    Only HTTP's own white space is removed: `strip()` would also remove separators that `float()` rejects.
    """
    parts = [part.strip(" \t") for part in value.split(",")]
    # Two, because a date contains a comma.
    for size in (1, 2):
        if parts == parts[:size] * (len(parts) // size):
            return ", ".join(parts[:size])
    return value
