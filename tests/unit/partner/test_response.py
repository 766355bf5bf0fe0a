"""Each kind of response, and the token or the failure that it becomes."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from multidict import CIMultiDict

from sidecar.core.errors import AnswerProblem, FailureKind, PartnerError
from sidecar.core.model import Secret
from sidecar.partner.response import MAX_TOKEN_CHARS, PartnerResponse, kind_of_status, read_response
from tests.support.partners import PAY1ST

NOW = 1_767_225_600.0
GOOD = {"role": "API_USER", "accessToken": "access-1", "refreshToken": "refresh-1"}


def response(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> PartnerResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return PartnerResponse(status, CIMultiDict(headers or {}), raw)


def failure(given: PartnerResponse, secrets: tuple[str, ...] = ()) -> PartnerError:
    with pytest.raises(PartnerError) as caught:
        read_response(given, PAY1ST, "API_USER", NOW, secrets)
    return caught.value


def test_the_documented_response_is_a_token_without_a_lifetime() -> None:
    token = read_response(response(GOOD), PAY1ST, "API_USER", NOW)
    assert (token.access, token.refresh) == (Secret("access-1"), Secret("refresh-1"))
    assert (token.role, token.lifetime_s) == ("API_USER", None)


@pytest.mark.parametrize(
    "extra",
    [
        {"other": [1, {"deep": None}]},
        {"big": 10**5000},
        {"role": "API_USER", "errorCode": 7},
        {"float": float("inf")},
    ],
)
def test_unknown_fields_are_never_an_error(extra: dict[str, object]) -> None:
    body = json.dumps({**GOOD, **{name: value for name, value in extra.items() if name != "big"}})
    if "big" in extra:
        body = body[:-1] + ', "big": ' + "9" * 5000 + "}"
    assert read_response(response(body.encode()), PAY1ST, "API_USER", NOW).access == Secret("access-1")


def test_a_missing_role_is_tolerated() -> None:
    body = {name: value for name, value in GOOD.items() if name != "role"}
    assert read_response(response(body), PAY1ST, "API_USER", NOW).role == "API_USER"


@pytest.mark.parametrize("odd", [None, "", 5, ["x"], "two words", "line\nbreak", "é", "x" * (MAX_TOKEN_CHARS + 1)])
def test_an_invalid_refresh_token_counts_as_none(odd: object) -> None:
    assert read_response(response({**GOOD, "refreshToken": odd}), PAY1ST, "API_USER", NOW).refresh is None


def test_a_missing_refresh_token_is_none() -> None:
    assert read_response(response({"role": "API_USER", "accessToken": "a"}), PAY1ST, "API_USER", NOW).refresh is None


@pytest.mark.parametrize(
    "access",
    [None, "", 7, True, ["a"], {"a": 1}, "a b", " a", "a\n", "a\r\nX: y", "a\x00", "a\x7f", "é", "\ud800"],
)
def test_a_token_that_is_invalid_in_a_header_is_malformed(access: object) -> None:
    assert failure(response({**GOOD, "accessToken": access})).kind is FailureKind.MALFORMED


def test_the_longest_token_is_accepted_and_a_longer_one_is_not() -> None:
    longest = "x" * MAX_TOKEN_CHARS
    assert read_response(response({**GOOD, "accessToken": longest}), PAY1ST, "API_USER", NOW).access == Secret(longest)
    assert failure(response({**GOOD, "accessToken": longest + "x"})).kind is FailureKind.MALFORMED


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<html><body>OK</body></html>", AnswerProblem.NOT_JSON),
        (b"{}", AnswerProblem.NO_TOKEN),
        (b'{"role": "ADMIN"}', AnswerProblem.NO_TOKEN),
        (b'{"role": "ADMIN", "accessToken": "a"}', AnswerProblem.ROLE),
        (b'{"role": null, "accessToken": "a"}', AnswerProblem.ROLE),
        (b'{"role": ["API_USER"], "accessToken": "a"}', AnswerProblem.ROLE),
        (b'{"role": "API_USER", "accessToken": "a", "expiresIn": 0}', AnswerProblem.ENDED),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_an_invalid_200_is_malformed_and_has_its_problem(body: bytes, problem: AnswerProblem) -> None:
    error = failure(response(body))
    assert (error.kind, error.detail and error.detail.status) == (FailureKind.MALFORMED, 200)
    assert error.problem is problem


@pytest.mark.parametrize(
    ("status", "problem"),
    [(201, AnswerProblem.STATUS), (302, AnswerProblem.STATUS), (400, None), (429, None), (503, None)],
)
def test_another_status_is_malformed_unless_it_is_a_failure(status: int, problem: AnswerProblem | None) -> None:
    assert failure(response(b"<html>", status)).problem is problem


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        (FailureKind.THROTTLED, [429]),
        (FailureKind.UNAUTHORIZED, [401, 403]),
        (FailureKind.BAD_REQUEST, [400, 402, 404, 405, 406, 409, 410, 411, 413, 415, 418, 422, 431, 451, 499]),
        (FailureKind.SERVER_ERROR, [408, 425, 500, 501, 502, 503, 504, 520, 599]),
        (FailureKind.MALFORMED, [101, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 600, 999]),
    ],
)
def test_each_status_has_one_kind_with_any_body(kind: FailureKind, statuses: list[int]) -> None:
    assert {kind_of_status(status) for status in statuses} == {kind}
    for status in statuses:
        assert failure(response(GOOD, status)).kind is kind
        assert failure(response(b"<html>", status)).kind is kind


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_usable_retry_after_is_in_the_error(status: int) -> None:
    assert failure(response({}, status, {"retry-after": "17"})).retry_after_s == 17


@pytest.mark.parametrize(("status", "value"), [(429, "0"), (429, "soon"), (401, "17"), (400, "17")])
def test_an_unusable_retry_after_or_one_on_another_failure_is_not(status: int, value: str) -> None:
    assert failure(response({}, status, {"Retry-After": value})).retry_after_s is None


@pytest.mark.parametrize("name", ["RateLimit-Reset", "X-RateLimit-Reset"])
def test_a_429_without_a_usable_retry_after_uses_the_reset_of_the_limit(name: str) -> None:
    assert failure(response({}, 429, {name: "17"})).retry_after_s == 17
    assert failure(response({}, 429, {name: "17", "Retry-After": "0"})).retry_after_s == 17
    assert failure(response({}, 429, {name: "17", "Retry-After": "5"})).retry_after_s == 5


def test_the_reset_of_the_limit_is_ignored_on_other_failures() -> None:
    assert failure(response({}, 503, {"RateLimit-Reset": "17"})).retry_after_s is None


def test_the_first_of_several_retry_after_headers_is_used() -> None:
    headers = CIMultiDict([("Retry-After", "5"), ("Retry-After", "50")])
    assert failure(PartnerResponse(429, headers)).retry_after_s == 5


def test_the_documented_error_fields_are_in_the_error() -> None:
    body = {"errorMessage": "No such key", "errorCode": "GW-401", "sessionId": "s-1"}
    detail = failure(response(body, 401)).detail
    assert detail is not None
    assert (detail.status, detail.error_code, detail.error_message, detail.session_id) == (
        401,
        "GW-401",
        "No such key",
        "s-1",
    )


def test_the_repr_of_a_response_omits_its_body() -> None:
    assert "access-1" not in repr(response(GOOD))
