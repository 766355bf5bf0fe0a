"""Converts a partner's response to a token or a classified failure. No other module does this.

Gateways may compress a body unasked, or add a byte order mark. A partner's text about a failure may quote secrets.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.errors import AnswerProblem, FailureKind, PartnerDetail, PartnerError
from sidecar.core.model import PartnerToken, Secret, UtcTime
from sidecar.core.partner_table import PartnerTable
from sidecar.partner.lifetime import declared_lifetime_s, read_integer
from sidecar.partner.masking import MASK, Masker
from sidecar.partner.retry_after import requested_wait_s, responded_at

MAX_BODY_BYTES = 64 * 1024
"""The limit for the body as sent, and also for the decompressed body."""
MAX_TOKEN_CHARS = 16 * 1024

_BY_STATUS: Mapping[int, FailureKind] = {
    401: FailureKind.UNAUTHORIZED,
    403: FailureKind.UNAUTHORIZED,
    # Request Timeout and Too Early are about the time of the request, not its content.
    408: FailureKind.SERVER_ERROR,
    425: FailureKind.SERVER_ERROR,
    429: FailureKind.THROTTLED,
}
_BY_CLASS: Mapping[int, FailureKind] = {4: FailureKind.BAD_REQUEST, 5: FailureKind.SERVER_ERROR}
_BY_OAUTH2_ERROR: Mapping[str, FailureKind] = {
    "invalid_client": FailureKind.UNAUTHORIZED,
    "unauthorized_client": FailureKind.UNAUTHORIZED,
    "temporarily_unavailable": FailureKind.SERVER_ERROR,
    "server_error": FailureKind.SERVER_ERROR,
    "invalid_request": FailureKind.BAD_REQUEST,
    "invalid_grant": FailureKind.BAD_REQUEST,
    "invalid_scope": FailureKind.BAD_REQUEST,
    "unsupported_grant_type": FailureKind.BAD_REQUEST,
}
_GZIP = b"\x1f\x8b"
_GZIP_FORMAT = zlib.MAX_WBITS | 16
# No code, message or session id has a word this long, but a token that is unknown here does.
_TOKEN_LIKE = re.compile(r"\S{64,}")
# A truncated echo of the header does not contain the whole secret, but a part of it is a leak, too.
_AUTHORIZATION = re.compile(r"\b(basic|bearer)\s+\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PartnerResponse:
    """One HTTP response. `headers` ignore case in look-ups; `body` has at most `MAX_BODY_BYTES` + 1 bytes.

    `repr` omits the body, which may contain a token.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"PartnerResponse(status={self.status})"


def read_response(
    response: PartnerResponse, table: PartnerTable, role: str, now_wall: UtcTime, secrets: Sequence[str] = ()
) -> PartnerToken:
    """Return the token in the response to a call for `role`; `secrets` are masked where the partner echoes them.

    A missing `role` is accepted, another role is not. A missing or invalid refresh token counts as none: that only
    costs a grant later. A response with a token whose declared end has passed is malformed; a partner that issues one
    token until it ends may send it in the token's last second. Raises `PartnerError`.
    """
    found = read_document(response.body)
    document: Mapping[str, object] = {} if isinstance(found, AnswerProblem) else found

    def failure(kind: FailureKind, problem: AnswerProblem | None) -> PartnerError:
        detail = read_detail(response.status, document, secrets, table)
        wait_s = None
        if kind in (FailureKind.THROTTLED, FailureKind.SERVER_ERROR):
            wait_s = requested_wait_s(response.headers, now_wall, throttled=kind is FailureKind.THROTTLED)
        return PartnerError(kind, detail, wait_s, problem=problem)

    if response.status != table.success_status:
        kind = _kind_of_oauth2(response.status, document) if table.oauth2 else kind_of_status(response.status)
        raise failure(kind, AnswerProblem.STATUS if kind is FailureKind.MALFORMED else None)
    if isinstance(found, AnswerProblem):
        raise failure(FailureKind.MALFORMED, found)
    access = _usable_token(at(document, table.access_field))
    if access is None:
        raise failure(FailureKind.MALFORMED, AnswerProblem.NO_TOKEN)
    if table.role_field and document.get(table.role_field, role) != role:
        raise failure(FailureKind.MALFORMED, AnswerProblem.ROLE)
    if table.oauth2 and not _is_bearer(document.get("token_type", "Bearer")):
        raise failure(FailureKind.MALFORMED, AnswerProblem.TOKEN_TYPE)
    date = responded_at(response.headers.get("Date"), now_wall)
    lifetime_s = declared_lifetime_s(document, access, date, at(document, table.expires_field))
    if lifetime_s is not None and lifetime_s <= 0:
        raise failure(FailureKind.MALFORMED, AnswerProblem.ENDED)
    refresh = _usable_token(at(document, table.refresh_field))
    return PartnerToken(
        access=Secret(access),
        refresh=None if refresh is None else Secret(refresh),
        role=role,
        lifetime_s=lifetime_s,
    )


def kind_of_status(status: int) -> FailureKind:
    """Return the failure for a status other than that of success. Redirects and other successes are malformed."""
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, FailureKind.MALFORMED)


def _kind_of_oauth2(status: int, document: Mapping[str, object]) -> FailureKind:
    """Return the failure by the error code of RFC 6749 section 5.2, which has precedence over a status of class 4."""
    kind = kind_of_status(status)
    if kind in (FailureKind.UNAUTHORIZED, FailureKind.BAD_REQUEST):
        code = document.get("error")
        return _BY_OAUTH2_ERROR.get(code, kind) if isinstance(code, str) else kind
    return kind


def _is_bearer(token_type: object) -> bool:
    return isinstance(token_type, str) and token_type.lower() == "bearer"


def at(document: Mapping[str, object], path: str) -> object:
    """Return the value at a path of names joined by dots; None where there is none."""
    found: object = document if path else None
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _usable_token(value: object) -> str | None:
    """Return the value if an HTTP header can carry it (visible ASCII, no white space, limited length), else None."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN_CHARS:
        return None
    return value if all("!" <= char <= "~" for char in value) else None


def read_document(body: bytes) -> Mapping[str, object] | AnswerProblem:
    """Return the JSON object in `body`, or why there is none.

    Gzip is detected by its first bytes, with which no JSON begins. `Content-Encoding` is not reliable: a proxy that
    decompresses may leave it, and one that compresses may omit it.
    """
    if len(body) > MAX_BODY_BYTES:
        return AnswerProblem.TOO_LONG
    plain = _decompressed(body) if body.startswith(_GZIP) else body
    if isinstance(plain, AnswerProblem):
        return plain
    if not plain.strip():
        return AnswerProblem.EMPTY
    try:
        document = json.loads(plain.decode("utf-8-sig"), parse_int=read_integer)
    except (ValueError, RecursionError):
        return AnswerProblem.NOT_JSON
    return document if isinstance(document, dict) else AnswerProblem.NOT_OBJECT


def _decompressed(body: bytes) -> bytes | AnswerProblem:
    """Return at most `MAX_BODY_BYTES`, however large the decompressed body would be."""
    stream = zlib.decompressobj(_GZIP_FORMAT)
    try:
        plain = stream.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        return AnswerProblem.BAD_GZIP
    if len(plain) > MAX_BODY_BYTES:
        return AnswerProblem.TOO_LONG
    return plain if stream.eof and not stream.unused_data else AnswerProblem.BAD_GZIP


def read_detail(
    status: int, document: Mapping[str, object], secrets: Sequence[str], table: PartnerTable
) -> PartnerDetail:
    """Return the error fields of pay1st, of RFC 6749, or the usual ones, printable and cut to `MAX_TEXT_CHARS` each.

    All `secrets` are masked: a partner may echo the request, on purpose or not. Unexpected types and missing fields
    become empty texts.
    """
    paths = (table.access_field, table.refresh_field)
    tokens = [value for path in paths if isinstance(value := at(document, path), str)]
    masker = Masker((*secrets, *tokens))

    def text(*names: str) -> str:
        value = next((document[name] for name in names if name in document), None)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return ""
        # Secrets are masked first, and `PartnerDetail` cuts last: no step may join the parts of a secret or halve it.
        return _TOKEN_LIKE.sub(MASK, _AUTHORIZATION.sub(rf"\1 {MASK}", masker.mask(str(value))))

    return PartnerDetail(
        status=status,
        error_code=text("errorCode", "error", "code"),
        error_message=text("errorMessage", "error_description", "message"),
        session_id=text("sessionId"),
    )
