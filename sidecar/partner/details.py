"""What a partner said about a failure, made fit for logs and for callers' errors."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, quote_plus

from sidecar.core.failures import PartnerDetail, printable

MASK = "***"
# No code, message or session id needs a word this long; tokens we do not know of here are such words.
_TOKEN_LIKE = re.compile(r"\S{64,}")
# An echoed header that was cut off is no whole secret any more, but half of one is enough.
_AUTHORIZATION = re.compile(r"\b(basic|bearer)\s+\S+", re.IGNORECASE)


def read_detail(status: int, document: Mapping[str, object], secrets: Sequence[str]) -> PartnerDetail:
    """The documented error fields, printable, cut to `MAX_TEXT_CHARS` each, and with none of `secrets` in them.

    A hostile or careless partner may echo what it was sent. Odd types and missing fields become empty texts.
    """
    tokens = [value for name in ("accessToken", "refreshToken") if isinstance(value := document.get(name), str)]
    forms = sorted({form for secret in (*secrets, *tokens) for form in _forms(secret)}, key=len, reverse=True)

    def text(name: str) -> str:
        return _safe_text(document.get(name), forms)

    return PartnerDetail(
        status=status,
        error_code=text("errorCode"),
        error_message=text("errorMessage"),
        session_id=text("sessionId"),
    )


def _safe_text(value: object, forms: Sequence[str]) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # Printable first, masked second; `PartnerDetail` cuts last: a later step must not put a secret together or leave
    # half of one.
    text = printable(str(value))
    for form in forms:
        text = text.replace(form, MASK)
    text = _AUTHORIZATION.sub(rf"\1 {MASK}", text)
    return _TOKEN_LIKE.sub(MASK, text)


def _forms(secret: str) -> Iterator[str]:
    """The spellings in which an echo may show a secret; none for an empty one."""
    if secret:
        # JSON can carry half a surrogate pair, which strict UTF-8 refuses.
        content = secret.encode(errors="surrogatepass")
        yield printable(secret)
        yield quote(content, safe="")
        yield quote_plus(content)
        yield base64.b64encode(content).decode()
