"""How a target reports that a property of the product does not hold."""

from __future__ import annotations

CANARY = "CANARY-5ecr3t-7f3a91"
"""A secret of the fuzzer. It replaces `PLANT` in an input, so that mutations move it and never damage it."""
PLANT = b"\xfe"
_PART_CHARS = 8


class FindingError(AssertionError):
    """A property that the target checks does not hold."""


def hold(*, true: bool, what: str) -> None:
    """Raises `FindingError` with `what` unless it is `true`."""
    if not true:
        raise FindingError(what)


def planted(data: bytes) -> bytes:
    return data.replace(PLANT, CANARY.encode())


def hold_secret(secret: str, *places: str) -> None:
    """Raises `FindingError` when eight characters in a row of `secret` are in one of `places`."""
    parts = [secret[at : at + _PART_CHARS] for at in range(len(secret) - _PART_CHARS + 1)]
    for place in places:
        hold(true=not any(part in place for part in parts), what=f"a part of a secret is in {place[:200]!r}")
