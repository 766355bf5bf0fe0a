"""Reads the lifetime that a response declares for its token. The partner documents none today."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from sidecar.core.model import Seconds, UtcTime

MAX_LIFETIME_S: Seconds = 10 * 365 * 86_400
"""A declared lifetime above ten years is invalid and is ignored."""

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_MILLISECONDS_FROM = 1e11
"""As seconds this is the year 5138, as milliseconds 1973. Larger epoch values are milliseconds."""


def declared_lifetime_s(
    document: Mapping[str, object], access: str, responded_at: UtcTime, named: object = None
) -> Seconds | None:
    """Return the shortest lifetime the response declares, or None. 0 and below: the declared end has passed.

    `named` is the value of the field that the partner's table names. Also reads `expiresIn`/`expires_in` (seconds),
    `expiresAt`/`expires_at` (epoch seconds or milliseconds, ISO-8601), and
    the `exp` and `iat` of a token that is a JWT. When they disagree the shortest is taken: a token must never be vended
    past a declared end.
    """
    found = [*_from_value(named, responded_at), *_from_fields(document, responded_at), *_from_jwt(access, responded_at)]
    return min((life_s for life_s in found if life_s <= MAX_LIFETIME_S), default=None)


def _from_value(value: object, responded_at: UtcTime) -> Iterator[Seconds]:
    """Read seconds, or an instant: as text in ISO-8601, or as a number that is too large for a lifetime."""
    number = _number(value)
    if number is not None and number <= MAX_LIFETIME_S:
        yield number
    elif (end_at := _instant(value)) is not None:
        yield end_at - responded_at


def _from_fields(document: Mapping[str, object], responded_at: UtcTime) -> Iterator[Seconds]:
    for name in ("expiresIn", "expires_in"):
        if (life_s := _number(document.get(name))) is not None:
            yield life_s
    for name in ("expiresAt", "expires_at"):
        if (end_at := _instant(document.get(name))) is not None:
            yield end_at - responded_at


def _from_jwt(access: str, responded_at: UtcTime) -> Iterator[Seconds]:
    claims = _jwt_claims(access)
    end_at = _number(claims.get("exp"))
    if end_at is None:
        return
    yield end_at - responded_at
    # Both are by the issuer's clock, so this is right even when the response has no Date and our clock is behind.
    if (issued_at := _number(claims.get("iat"))) is not None and issued_at < end_at:
        yield end_at - issued_at


def _jwt_claims(access: str) -> Mapping[str, object]:
    """Return the claims of an unencrypted JWT (RFC 7519), unverified; empty for every other token."""
    parts = access.split(".")
    if len(parts) != 3:
        return {}
    try:
        content = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = json.loads(content, parse_int=read_integer)
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def read_integer(digits: str) -> float:
    """Return the number. Python rejects very long integers; one in an unused field must not fail the whole response."""
    return int(digits) if len(digits) < 19 else float(digits)


def _number(value: object) -> float | None:
    """Return a plain number, also from a string. NaN and infinities fail every later comparison."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _instant(value: object) -> UtcTime | None:
    if (number := _number(value)) is not None:
        return number / 1000 if number >= _MILLISECONDS_FROM else number
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    # A time without a zone is taken as UTC, like every other time here.
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
