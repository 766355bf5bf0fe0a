"""HTML from the templates in `files`. Values are escaped, except `Markup` values.

Formats durations, times and names for people.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any, TypeAlias

from sidecar.core.model import Seconds


class Markup(str):
    """Text that is already HTML. Only `fill`, `joined` and constants of this package make it."""

    __slots__ = ()


@functools.cache
def file(name: str) -> str:
    """Return the text of one of our files, which is read once."""
    return Path(__file__).with_name("files").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _template(text: str) -> Template:
    return Template(text)


def fill(text: str, **values: object) -> Markup:
    """Replace each `$name` in `text` by its value. Raises `KeyError` for a name without a value."""
    safe = {name: value if isinstance(value, Markup) else escape(str(value)) for name, value in values.items()}
    return Markup(_template(text).substitute(safe))


def joined(parts: Iterable[Markup]) -> Markup:
    return Markup("".join(parts))


Document: TypeAlias = Mapping[str, Any]
"""An object of `/status.json`."""

FAILURES: Mapping[str, str] = MappingProxyType(
    {
        "ok": "token received",
        "throttled": "rate limited (429)",
        "rejected": "credentials rejected (401 or 403)",
        "refused": "request refused (4xx)",
        "malformed": "invalid response",
        "timeout": "no response in time",
        "connect": "no connection",
        "server-error": "server error (5xx)",
    }
)
"""The outcomes of a partner call, in words."""


def span(seconds: Seconds) -> str:
    """Format as `2.3 ms`, `42 s`, `11 min 32 s`, `2 h 5 min`, `3 d 4 h`; `status.js` uses the same format."""
    if 0 < seconds < 1:
        return f"{round(1000 * seconds, 1):g} ms"
    whole = int(seconds)
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def seconds_to(moment: str, at: str) -> Seconds:
    """Return the seconds from `at` to the moment, both ISO 8601; below 0 when the moment is past."""
    return (datetime.fromisoformat(moment) - datetime.fromisoformat(at)).total_seconds()


def time_of(moment: str, at: str) -> Markup:
    """Return the time of day, with the date if it is another day than that of `at`."""
    day, _, time = moment.rstrip("Z").partition("T")
    shown = time if at.startswith(day) else f"{day} {time}"
    return fill('<time datetime="$moment">$shown</time>', moment=moment, shown=shown)


def count(left_s: Seconds) -> Markup:
    """Return a duration that `status.js` counts down."""
    left_s = max(0, int(left_s))
    return fill('<span class="count" data-left="$left">$span</span>', left=left_s, span=span(left_s))


def until(moment: str, at: str) -> Markup:
    """Return `12:15:00 (in 42 s)`, or `now` when the moment is past."""
    left_s = seconds_to(moment, at)
    if left_s <= 0:
        return Markup("now")
    return fill("$time (in $count)", time=time_of(moment, at), count=count(left_s))


def failure(kind: str) -> str:
    return FAILURES.get(kind, kind)


def label(name: str) -> str:
    """Format `partnerStatus` as `partner status`; without the unit suffix, because the value has its unit."""
    return re.sub(r"([A-Z])", r" \1", re.sub(r"(S|At)$", "", name)).lower()
