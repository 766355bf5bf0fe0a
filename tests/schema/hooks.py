"""Rules for schemathesis that the document has as text, because no schema can express them."""

from __future__ import annotations

import re
from typing import Any

import schemathesis

from tests.schema.whole_service import LIFETIME_S

_EXPONENT = re.compile(r"[0-9.]+e[+-]?[0-9]+")
_NUMBER = re.compile(r"[0-9.]+")


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Leave out numbers that are written with an exponent, and a `min_ttl` beyond the lifetime, which are refused."""
    texts = {name: str(value) for name, value in (case.query or {}).items()}
    if any(_EXPONENT.fullmatch(text) for text in texts.values()):
        return False
    min_ttl = texts.get("min_ttl", "")
    return not _NUMBER.fullmatch(min_ttl) or float(min_ttl) <= LIFETIME_S / 2
