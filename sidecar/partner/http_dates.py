"""Parses HTTP dates: the current form and the two obsolete ones (RFC 9110 section 5.6.7).

The zone may also be `UTC`, `+0000` or `-0000`, as mail libraries write it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sidecar.core.model import UtcTime

# strptime would parse month names by the process's locale; in HTTP they are always English.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_TIME = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-5][0-9]|60)"
_ZONE = r"(?:GMT|UTC|[+-]0000)"
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_FORMS = tuple(
    re.compile(form)
    for form in (
        f"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} {_ZONE}",
        f"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} {_ZONE}",
        f"{_DAY} {_MONTH} (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)


def parse_http_date(text: str, now_wall: UtcTime) -> UtcTime | None:
    """Return the time of an HTTP date, or None if it is invalid; `now_wall` gives the century of a two-digit year."""
    for form in _FORMS:
        if found := form.fullmatch(text.strip()):
            break
    else:
        return None
    day, hour, minute, second = (int(found[part]) for part in ("day", "hour", "minute", "second"))
    try:
        # Second 60, a leap second, is valid in HTTP, but datetime does not accept it.
        month = _MONTHS.index(found["month"]) + 1
        moment = datetime(_year(found["year"], now_wall), month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp()


def _year(digits: str, now_wall: UtcTime) -> int:
    """Return the year. A two-digit year more than 50 years ahead means the latest past year with these digits."""
    if len(digits) == 4:
        return int(digits)
    this_year = datetime.fromtimestamp(now_wall, UTC).year
    year = this_year - this_year % 100 + int(digits)
    return year - 100 if year > this_year + 50 else year
