"""Responses of the partner: a usable token or a classified failure, and no secret in the error.

An input is the status on a line, header lines, an empty line, and the body.
"""

from __future__ import annotations

import gzip
import json
import zlib

from aiohttp import hdrs
from multidict import CIMultiDict

from sidecar.core.errors import FailureKind, PartnerError
from sidecar.core.model import PartnerToken
from sidecar.core.policy import MAX_RETRY_AFTER_S
from sidecar.partner.lifetime import MAX_LIFETIME_S
from sidecar.partner.response import PartnerResponse, read_response
from sidecar.partner.retry_after import RESET_HEADERS
from tests.fuzz.findings import CANARY, hold, hold_secret, planted
from tests.support.partners import PAY1ST

WORDS = (
    b'{"accessToken":"', b'"refreshToken":"', b'"expiresIn":', b'"expires_at":', b'"role":"API_USER"', b'"errorCode":"',
    b'"errorMessage":"', b"429\n", b"401\n", b"503\n", b"Retry-After: ", b"Date: ", b"\n\n", b"\\ud800", b"1e999",
    b"\xfe", b"\xef\xbb\xbf", b"X-RateLimit-Reset: ",
)  # fmt: skip
ROLE = "API_USER"
NOW_AT = 1_767_225_600.0
_MAX_TEXT_CHARS = 200
_KINDS = {
    200: {FailureKind.MALFORMED},
    401: {FailureKind.UNAUTHORIZED},
    403: {FailureKind.UNAUTHORIZED},
    429: {FailureKind.THROTTLED},
}
_OTHER_KINDS = {FailureKind.BAD_REQUEST, FailureKind.SERVER_ERROR, FailureKind.MALFORMED}


def check(data: bytes) -> None:
    """Read one response to a call that carried the canary."""
    response = response_of(planted(data))
    try:
        token = read_response(response, PAY1ST, ROLE, NOW_AT, (CANARY,))
    except PartnerError as error:
        _hold_failure(error, response)
    else:
        _hold_token(token, response)


def response_of(data: bytes) -> PartnerResponse:
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("utf-8", "surrogateescape").split("\n")
    headers: CIMultiDict[str] = CIMultiDict()
    for name, colon, value in (line.partition(":") for line in lines):
        if colon:
            headers.add(name, value.strip())
    status = int(first) if first.isascii() and first.isdigit() and len(first) == 3 else 200
    return PartnerResponse(status, headers, body)


def _hold_token(token: PartnerToken, response: PartnerResponse) -> None:
    hold(true=response.status == 200, what=f"a token came of status {response.status}")
    document = _document(response.body)
    if document is None:
        raise AssertionError("a token came of a body that is no object")
    hold(true=document["accessToken"] == token.access.reveal(), what="the token is not the one in the response")
    hold(true=document.get("role", ROLE) == ROLE, what="a token for another role was taken")
    for secret in (token.access, token.refresh):
        if secret is not None:
            text = secret.reveal()
            hold(true=bool(text) and text.isascii() and text.isprintable() and " " not in text, what="an odd token")
    life_s = token.lifetime_s
    hold(true=life_s is None or 0 < life_s <= MAX_LIFETIME_S, what=f"a lifetime is {life_s}")
    _hold_silence(repr(token), document)


def _hold_failure(error: PartnerError, response: PartnerResponse) -> None:
    hold(true=error.kind in _KINDS.get(response.status, _OTHER_KINDS), what=f"{response.status} became {error.kind}")
    wait_s = error.retry_after_s
    hold(true=wait_s is None or 0 < wait_s <= MAX_RETRY_AFTER_S, what=f"a wait is {wait_s}")
    hold(
        true=wait_s is None or any(name in response.headers for name in (hdrs.RETRY_AFTER, *RESET_HEADERS)),
        what="a wait was made up",
    )
    detail = error.detail
    if detail is None:
        raise AssertionError("a failure with a response has no detail")
    texts = (detail.error_code, detail.error_message, detail.session_id)
    hold(true=all(text.isprintable() and len(text) <= _MAX_TEXT_CHARS for text in texts), what="an odd text")
    document = _document(response.body)
    hold(true=(error.problem is not None) == (error.kind is FailureKind.MALFORMED), what="a problem is not said")
    for text in (*texts, str(error), repr(response)):
        _hold_silence(text, document)


def _document(body: bytes) -> dict[str, object] | None:
    """Return the body as a plain JSON reading gives it."""
    try:
        plain = gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
        document = json.loads(plain.decode("utf-8-sig"))
    except (ValueError, RecursionError, OSError, EOFError, zlib.error):
        return None
    return document if isinstance(document, dict) else None


def _hold_silence(text: str, document: object) -> None:
    """Check that the text has no part of the canary, and no token of the response that is longer than a word."""
    hold_secret(CANARY, text)
    if isinstance(document, dict):
        for name in ("accessToken", "refreshToken"):
            token = document.get(name)
            # The mask of another secret may complete a token that contains a mask.
            if isinstance(token, str) and len(token) >= 16 and "*" not in token:
                hold(true=token not in text, what="a token is in a text")
