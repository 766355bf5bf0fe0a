"""Parses the options in a request's headers and query: conditions, a content type, seconds."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import parse_qsl

from sidecar.core.model import Seconds
from sidecar.web.refusals import RequestError

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?")
_ETAG = re.compile(r'(?:W/)?"([^"]*)"')
_QUALITY = re.compile(r"q=([01](?:\.[0-9]{0,3})?)")


def seconds_of(query: str, *names: str) -> tuple[Seconds, ...]:
    """Return the values of the named query parameters, 0 for an absent one.

    Raises `RequestError` (`bad-request`) for any other parameter, one given twice, or one that is no plain decimal
    number.
    """
    if not query:
        return (0.0,) * len(names)
    given = parse_qsl(query, keep_blank_values=True)
    if any(name not in names for name, _ in given):
        known = " and ".join(f"'{name}'" for name in names) or "none"
        raise RequestError("bad-request", f"Unknown query parameter. Allowed: {known}.")
    return tuple(_seconds(name, [value for key, value in given if key == name]) for name in names)


def refuse_query(query: str) -> None:
    """Raise `RequestError` (`bad-request`) for any query parameter."""
    seconds_of(query)


def _seconds(name: str, values: list[str]) -> Seconds:
    if not values:
        return 0.0
    if len(values) > 1 or _SECONDS.fullmatch(values[0]) is None:
        raise RequestError("bad-request", f"Give '{name}' once, as a plain number of seconds such as {name}=30.")
    return float(values[0])


def none_match(fields: list[str], tag: str) -> bool:
    """Whether `If-None-Match` covers `tag`: by `*`, or by weak comparison in its lists (RFC 9110 section 13.1.2)."""
    return any(field.strip() == "*" or tag in _ETAG.findall(field) for field in fields)


@lru_cache(maxsize=64)
def prefers_text(fields: tuple[str, ...]) -> bool:
    """Whether `Accept` prefers plain text to JSON; JSON for a tie, or without `Accept`."""
    ranges = [_media_range(part) for field in fields for part in field.split(",")]
    return _quality(ranges, "text", "plain") > _quality(ranges, "application", "json")


def _media_range(part: str) -> tuple[str, float]:
    name, _, parameters = part.partition(";")
    weight = _QUALITY.search(parameters.replace(" ", "").lower())
    return name.strip().lower(), float(weight[1]) if weight else 1.0


def _quality(ranges: list[tuple[str, float]], kind: str, subtype: str) -> float:
    """Return the weight of the most specific range (RFC 9110 section 12.5.1); 0 when none covers the type."""
    for wanted in (f"{kind}/{subtype}", f"{kind}/*", "*/*"):
        weights = [weight for name, weight in ranges if name == wanted]
        if weights:
            return max(weights)
    return 0.0
