"""What a partner said about a failure, made fit for logs and for callers' errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sidecar.core.failures import PartnerDetail
from sidecar.partner.masking import MASK, Masker

# No code, message or session id needs a word this long; tokens we do not know of here are such words.
_TOKEN_LIKE = re.compile(r"\S{64,}")
# An echoed header that was cut off is no whole secret any more, but half of one is enough.
_AUTHORIZATION = re.compile(r"\b(basic|bearer)\s+\S+", re.IGNORECASE)


def read_detail(status: int, document: Mapping[str, object], secrets: Sequence[str]) -> PartnerDetail:
    """The documented error fields, printable, cut to `MAX_TEXT_CHARS` each, and with none of `secrets` in them.

    A hostile or careless partner may echo what it was sent. Odd types and missing fields become empty texts.
    """
    tokens = [value for name in ("accessToken", "refreshToken") if isinstance(value := document.get(name), str)]
    masker = Masker((*secrets, *tokens))

    def text(name: str) -> str:
        return _safe_text(document.get(name), masker)

    return PartnerDetail(
        status=status,
        error_code=text("errorCode"),
        error_message=text("errorMessage"),
        session_id=text("sessionId"),
    )


def _safe_text(value: object, masker: Masker) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # Secrets first; `PartnerDetail` cuts last: a later step must not put a secret together or leave half of one.
    text = _AUTHORIZATION.sub(rf"\1 {MASK}", masker.mask(str(value)))
    return _TOKEN_LIKE.sub(MASK, text)
