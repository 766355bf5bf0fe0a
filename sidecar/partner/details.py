"""Makes a partner's text about a failure safe for logs and for callers' errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sidecar.core.failures import PartnerDetail
from sidecar.partner.masking import MASK, Masker

# No code, message or session id has a word this long, but a token that is unknown here does.
_TOKEN_LIKE = re.compile(r"\S{64,}")
# A truncated echo of the header does not contain the whole secret, but a part of it is a leak, too.
_AUTHORIZATION = re.compile(r"\b(basic|bearer)\s+\S+", re.IGNORECASE)


def read_detail(status: int, document: Mapping[str, object], secrets: Sequence[str]) -> PartnerDetail:
    """Return the documented error fields: printable, cut to `MAX_TEXT_CHARS` each, with all `secrets` masked.

    A partner may echo the request, on purpose or not. Unexpected types and missing fields become empty texts.
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
    # Secrets are masked first, and `PartnerDetail` cuts last: no step may join the parts of a secret or cut it in half.
    text = _AUTHORIZATION.sub(rf"\1 {MASK}", masker.mask(str(value)))
    return _TOKEN_LIKE.sub(MASK, text)
