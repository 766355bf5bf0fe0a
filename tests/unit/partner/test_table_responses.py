"""Responses as tables describe them: dotted fields, lifetimes, OAuth errors."""

from __future__ import annotations

import json

import pytest
from multidict import CIMultiDict

from sidecar.core.errors import AnswerProblem, FailureKind, PartnerError
from sidecar.core.model import PartnerToken, Secret
from sidecar.core.partner_table import PartnerTable
from sidecar.core.partner_vocabulary import read_table
from sidecar.partner.response import PartnerResponse, read_response
from tests.unit.partner.test_response import NOW

NESTED = read_table(
    "acme",
    {
        "token_path": "/token",
        "access_field": "data.session.token",
        "expires_field": "data.session.ends",
        "refresh_path": "/refresh",
        "refresh_field": "data.renewal",
    },
)
OAUTH2 = read_table(
    "acme",
    {
        "token_path": "/token",
        "oauth2": True,
        "request": "form",
        "fields": {"grant_type": "client_credentials"},
        "expires_field": "expires_in",
    },
)
BEARER = {"access_token": "access-1", "token_type": "bearer"}
TOKEN = "canary-" + "t" * 40


def read(document: object, table: PartnerTable, status: int = 200) -> PartnerToken:
    response = PartnerResponse(status, CIMultiDict(), json.dumps(document).encode())
    return read_response(response, table, "API_USER", NOW, ("canary-secret",))


def failure(document: object, table: PartnerTable, status: int = 200) -> PartnerError:
    with pytest.raises(PartnerError) as caught:
        read(document, table, status)
    return caught.value


def nested(ends: object) -> dict[str, object]:
    return {"data": {"session": {"token": "access-1", "ends": ends}, "renewal": "refresh-1"}}


def test_dots_lead_into_objects() -> None:
    token = read(nested(None), NESTED)
    assert (token.access, token.refresh, token.lifetime_s) == (Secret("access-1"), Secret("refresh-1"), None)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"data": None},
        {"data": "text"},
        {"data": ["session"]},
        {"data": {"session": 5}},
        {"data": {"session": {"token": {"token": "a"}}}},
        {"data.session.token": "access-1"},
        {"token": "access-1"},
    ],
    ids=str,
)
def test_a_token_elsewhere_is_none(document: object) -> None:
    error = failure(document, NESTED)
    assert (error.kind, error.problem) == (FailureKind.MALFORMED, AnswerProblem.NO_TOKEN)


@pytest.mark.parametrize(
    ("ends", "life_s"),
    [
        (900, 900),
        (899.5, 899.5),
        ("900", 900),
        ("2026-01-01T00:10:00Z", 600),
        ("2026-01-01T01:10:00+01:00", 600),
        (1_767_225_600 + 60, 60),
        ((1_767_225_600 + 60) * 1000, 60),
        (None, None),
        ("soon", None),
        ([900], None),
        (True, None),
        (10**400, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_the_lifetime_is_seconds_or_an_instant_in_the_named_field(ends: object, life_s: float | None) -> None:
    assert read(nested(ends), NESTED).lifetime_s == life_s


@pytest.mark.parametrize("ends", [0, "0", -1, "2025-12-31T23:59:59Z", 1_767_225_599])
def test_a_lifetime_that_has_ended_is_malformed(ends: object) -> None:
    assert failure(nested(ends), NESTED).problem is AnswerProblem.ENDED


def test_the_shortest_of_the_named_and_the_usual_fields_counts() -> None:
    assert read(nested(900) | {"expiresIn": 60}, NESTED).lifetime_s == 60


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "invalid_client", FailureKind.UNAUTHORIZED),
        (400, "invalid_client", FailureKind.UNAUTHORIZED),
        (400, "unauthorized_client", FailureKind.UNAUTHORIZED),
        (400, "invalid_request", FailureKind.BAD_REQUEST),
        (400, "invalid_grant", FailureKind.BAD_REQUEST),
        (401, "invalid_grant", FailureKind.BAD_REQUEST),
        (400, "invalid_scope", FailureKind.BAD_REQUEST),
        (400, "unsupported_grant_type", FailureKind.BAD_REQUEST),
        (400, "temporarily_unavailable", FailureKind.SERVER_ERROR),
        (400, "server_error", FailureKind.SERVER_ERROR),
        (400, "another_error", FailureKind.BAD_REQUEST),
        (403, "another_error", FailureKind.UNAUTHORIZED),
        (401, ["invalid_grant"], FailureKind.UNAUTHORIZED),
        (401, None, FailureKind.UNAUTHORIZED),
        (429, "invalid_client", FailureKind.THROTTLED),
        (503, "invalid_client", FailureKind.SERVER_ERROR),
        (302, "invalid_client", FailureKind.MALFORMED),
    ],
)
def test_an_oauth_error_is_classified_by_its_code(status: int, code: object, kind: FailureKind) -> None:
    """RFC 6749 section 5.2."""
    error = failure({"error": code, "error_description": "canary-secret is wrong"}, OAUTH2, status)
    assert error.kind is kind
    assert error.detail is not None
    assert error.detail.error_code == (code if isinstance(code, str) else "")
    assert error.detail.error_message == "*** is wrong"


def test_a_partner_without_oauth_is_classified_by_status_alone() -> None:
    assert failure({"error": "invalid_client"}, NESTED, 400).kind is FailureKind.BAD_REQUEST


@pytest.mark.parametrize("kind", ["mac", "N_A", "", None, 5, ["Bearer"]])
def test_a_token_of_another_type_is_malformed(kind: object) -> None:
    """RFC 6749 section 7.1: a client must not use a token whose type it does not understand."""
    error = failure(BEARER | {"token_type": kind}, OAUTH2)
    assert (error.kind, error.problem) == (FailureKind.MALFORMED, AnswerProblem.TOKEN_TYPE)


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_token_may_be_written_in_any_case(kind: str) -> None:
    assert read(BEARER | {"token_type": kind}, OAUTH2).access == Secret("access-1")


@pytest.mark.parametrize(("wanted", "other"), [(200, 201), (201, 200)])
def test_a_token_comes_with_the_status_of_the_table_alone(wanted: int, other: int) -> None:
    table = read_table("acme", {"token_path": "/t", "success_status": wanted})
    assert read({"accessToken": "access-1"}, table, wanted).access == Secret("access-1")
    error = failure({"accessToken": "access-1"}, table, other)
    assert (error.kind, error.problem) == (FailureKind.MALFORMED, AnswerProblem.STATUS)


def test_a_missing_type_is_that_of_most_servers() -> None:
    assert read({"access_token": "access-1"}, OAUTH2).access == Secret("access-1")


def test_the_type_is_no_matter_without_oauth() -> None:
    assert read(nested(None) | {"token_type": "mac"}, NESTED).access == Secret("access-1")


@pytest.mark.parametrize(("given", "life_s"), [(3599, 3599), ("3599", 3599), (None, None), ("", None)])
def test_expires_in_is_a_number_or_its_text(given: object, life_s: float | None) -> None:
    assert read(BEARER | {"expires_in": given}, OAUTH2).lifetime_s == life_s


def test_expires_in_of_zero_is_malformed() -> None:
    assert failure(BEARER | {"expires_in": 0}, OAUTH2).problem is AnswerProblem.ENDED


def test_tokens_at_the_paths_of_the_table_are_masked_in_errors() -> None:
    document = {"data": {"session": {"token": TOKEN}, "renewal": TOKEN + "r"}, "message": f"{TOKEN} and {TOKEN}r"}
    detail = failure(document, NESTED, 400).detail
    assert detail is not None
    assert detail.error_message == "*** and ***"
