"""The one place where a partner's answer becomes a token or a classified failure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.errors import PartnerError
from sidecar.core.failures import FailureKind
from sidecar.core.model import Instant, PartnerToken, Secret
from sidecar.partner.details import read_detail
from sidecar.partner.lifetimes import declared_lifetime_s, read_integer
from sidecar.partner.retry_after import answered_at, named_wait_s

MAX_BODY_BYTES = 64 * 1024
MAX_TOKEN_CHARS = 16 * 1024

_BY_STATUS: Mapping[int, FailureKind] = {
    401: FailureKind.REJECTED,
    403: FailureKind.REJECTED,
    # Request Timeout and Too Early blame the moment, not the request.
    408: FailureKind.SERVER_ERROR,
    425: FailureKind.SERVER_ERROR,
    429: FailureKind.THROTTLED,
}
_BY_CLASS: Mapping[int, FailureKind] = {4: FailureKind.REFUSED, 5: FailureKind.SERVER_ERROR}
_MAY_NAME_A_WAIT = (FailureKind.THROTTLED, FailureKind.SERVER_ERROR)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `headers` look up without regard to case; `body` is at most `MAX_BODY_BYTES` + 1 long.

    Not printed: the body may hold a token.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Answer(status={self.status})"


def kind_of_status(status: int) -> FailureKind:
    """The failure a status other than 200 stands for; redirects and other successes make no sense here."""
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100, FailureKind.MALFORMED)


def read_answer(answer: Answer, role: str, now_wall: Instant, secrets: Sequence[str] = ()) -> PartnerToken:
    """The token in an answer to a call for `role`; `secrets` are masked where the partner echoes them.

    A missing `role` is tolerated, another one is not. A refresh token that is missing or odd is none: it only costs a
    grant later. A token whose declared end has passed makes no sense, like any other malformed response: a partner that
    hands out one token until it ends may answer so in its last second. Raises `PartnerError`.
    """
    document = _read_document(answer.body)
    if answer.status != 200:
        raise _failure(kind_of_status(answer.status), answer, document or {}, now_wall, secrets)
    access = _usable_token((document or {}).get("accessToken"))
    if document is None or access is None or document.get("role", role) != role:
        raise _failure(FailureKind.MALFORMED, answer, document or {}, now_wall, secrets)
    lifetime_s = declared_lifetime_s(document, access, answered_at(answer.headers.get("Date"), now_wall))
    if lifetime_s is not None and lifetime_s <= 0:
        raise _failure(FailureKind.MALFORMED, answer, document, now_wall, secrets)
    refresh = _usable_token(document.get("refreshToken"))
    return PartnerToken(
        access=Secret(access),
        refresh=None if refresh is None else Secret(refresh),
        role=role,
        lifetime_s=lifetime_s,
    )


def _failure(
    kind: FailureKind, answer: Answer, document: Mapping[str, object], now_wall: Instant, secrets: Sequence[str]
) -> PartnerError:
    wait_s = None
    if kind in _MAY_NAME_A_WAIT:
        wait_s = named_wait_s(answer.headers, now_wall, throttled=kind is FailureKind.THROTTLED)
    return PartnerError(kind, read_detail(answer.status, document, secrets), wait_s)


def _read_document(body: bytes) -> Mapping[str, object] | None:
    """The JSON object in `body`, or None when it holds anything else."""
    if len(body) > MAX_BODY_BYTES:
        return None
    try:
        document = json.loads(body.decode(), parse_int=read_integer)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _usable_token(value: object) -> str | None:
    """The value when it can stand in an HTTP header: visible ASCII, no white space, of sane length."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN_CHARS:
        return None
    return value if all("!" <= char <= "~" for char in value) else None
