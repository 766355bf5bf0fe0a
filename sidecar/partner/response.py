"""Converts a partner's response to a token or a classified failure. No other module does this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.errors import PartnerError
from sidecar.core.failures import AnswerProblem, FailureKind
from sidecar.core.model import PartnerToken, Secret, UtcTime
from sidecar.partner.bodies import Document, read_document
from sidecar.partner.details import read_detail
from sidecar.partner.lifetime import declared_lifetime_s
from sidecar.partner.retry_after import answered_at, named_wait_s

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
_MAY_NAME_A_WAIT = (FailureKind.THROTTLED, FailureKind.SERVER_ERROR)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response. `headers` ignore case in look-ups; `body` has at most `bodies.MAX_BODY_BYTES` + 1 bytes.

    `repr` omits the body, which may contain a token.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Answer(status={self.status})"


def kind_of_status(status: int) -> FailureKind:
    """Return the failure for a status other than 200. Redirects and other successes are malformed."""
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, FailureKind.MALFORMED)


def read_answer(answer: Answer, role: str, now_wall: UtcTime, secrets: Sequence[str] = ()) -> PartnerToken:
    """Return the token in the response to a call for `role`; `secrets` are masked where the partner echoes them.

    A missing `role` is accepted, another role is not. A missing or invalid refresh token counts as none: that only
    costs a grant later. A response with a token whose declared end has passed is malformed; a partner that issues one
    token until it ends may send it in the token's last second. Raises `PartnerError`.
    """
    found = read_document(answer.body)
    document: Document = {} if isinstance(found, AnswerProblem) else found

    def failure(kind: FailureKind, problem: AnswerProblem | None) -> PartnerError:
        detail = read_detail(answer.status, document, secrets)
        wait_s = None
        if kind in _MAY_NAME_A_WAIT:
            wait_s = named_wait_s(answer.headers, now_wall, throttled=kind is FailureKind.THROTTLED)
        return PartnerError(kind, detail, wait_s, problem=problem)

    if answer.status != 200:
        kind = kind_of_status(answer.status)
        raise failure(kind, AnswerProblem.STATUS if kind is FailureKind.MALFORMED else None)
    if isinstance(found, AnswerProblem):
        raise failure(FailureKind.MALFORMED, found)
    access = _usable_token(document.get("accessToken"))
    if access is None:
        raise failure(FailureKind.MALFORMED, AnswerProblem.NO_TOKEN)
    if document.get("role", role) != role:
        raise failure(FailureKind.MALFORMED, AnswerProblem.ROLE)
    lifetime_s = declared_lifetime_s(document, access, answered_at(answer.headers.get("Date"), now_wall))
    if lifetime_s is not None and lifetime_s <= 0:
        raise failure(FailureKind.MALFORMED, AnswerProblem.ENDED)
    refresh = _usable_token(document.get("refreshToken"))
    return PartnerToken(
        access=Secret(access),
        refresh=None if refresh is None else Secret(refresh),
        role=role,
        lifetime_s=lifetime_s,
    )


def _usable_token(value: object) -> str | None:
    """Return the value if an HTTP header can carry it (visible ASCII, no white space, limited length), else None."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN_CHARS:
        return None
    return value if all("!" <= char <= "~" for char in value) else None
