"""Token requests, byte for byte, as a partner's table describes them, and as they may be shown."""

from __future__ import annotations

import base64

import pytest

from sidecar.core.model import Credentials, Secret
from sidecar.core.partner_table import PartnerTable
from sidecar.core.partner_vocabulary import read_table
from sidecar.partner.presets import PRESETS
from sidecar.partner.token_request import TokenRequest, grant_request, refresh_request, shown_requests

KEY, SECRET, SIGNING_KEY, REFRESH = "canary key+é", "canary:s%cret&", "canary-signing", "canary-refresh"
CREDENTIALS = Credentials(api_key=Secret(KEY), api_secret=Secret(SECRET), signing_key=Secret(SIGNING_KEY))
BASIC = "Basic " + base64.b64encode("canary key+é:canary:s%cret&".encode()).decode()
FORM_BASIC = "Basic " + base64.b64encode(b"canary%20key%2B%C3%A9:canary%3As%25cret%26").decode()
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
Table = dict[str, object]
IN_BODY: Table = {"client_auth": "body", "key_field": "id", "secret_field": "secret"}
IN_HEADERS: Table = {"client_auth": "header", "key_header": "X-Id", "secret_header": "X-Secret"}
REFRESHES: Table = {"refresh_path": "/refresh", "refresh_field": "data.again", "refresh_fields": {"how": "refresh"}}


def table(**document: object) -> PartnerTable:
    return read_table("acme", {"token_path": "/token"} | document)


def grant(**document: object) -> TokenRequest:
    return grant_request(table(**document), CREDENTIALS, "API_USER", None)


def refresh(**document: object) -> TokenRequest:
    return refresh_request(table(**REFRESHES | document), Secret(REFRESH), CREDENTIALS, "API_USER", None)


def parts(request: TokenRequest) -> tuple[str, str, dict[str, str], bytes]:
    return request.path, request.content_type, dict(request.headers), request.body


def test_json_has_constants_in_their_types_then_the_role() -> None:
    made = grant(fields={"a": "ü", "n": 5, "yes": True}, role_field="role", headers={"Accept": "x/y"})
    body = b'{"a": "\\u00fc", "n": 5, "yes": true, "role": "API_USER"}'
    assert parts(made) == ("/token", JSON, {"Accept": "x/y", "Authorization": BASIC}, body)


def test_a_form_has_texts_only() -> None:
    made = grant(request="form", fields={"a": "ü &", "n": 5, "yes": True, "no": False}, role_field="role")
    body = b"a=%C3%BC+%26&n=5&yes=true&no=false&role=API_USER"
    assert parts(made) == ("/token", FORM, {"Authorization": BASIC}, body)


def test_without_fields_json_is_an_empty_object_and_a_form_is_empty() -> None:
    assert (grant().body, grant(request="form").body) == (b"{}", b"")


def test_basic_is_form_encoded_for_oauth2_alone() -> None:
    """RFC 6749 section 2.3.1; RFC 7617 has no such encoding."""
    oauth2 = {"request": "form", "oauth2": True, "fields": {"grant_type": "client_credentials"}}
    assert grant(**oauth2).headers["Authorization"] == FORM_BASIC
    assert grant(request="form").headers["Authorization"] == BASIC


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("json", b'{"a": 1, "id": "canary key+\\u00e9", "secret": "canary:s%cret&"}'),
        ("form", b"a=1&id=canary+key%2B%C3%A9&secret=canary%3As%25cret%26"),
    ],
)
def test_credentials_in_the_body(kind: str, body: bytes) -> None:
    made = grant(**IN_BODY, request=kind, fields={"a": 1})
    assert (made.headers, made.body) == ({}, body)


def test_credentials_in_headers() -> None:
    made = grant(**IN_HEADERS)
    assert (made.headers, made.body) == ({"X-Id": KEY, "X-Secret": SECRET}, b"{}")


def test_a_refresh_has_its_own_path_headers_and_fields_and_the_last_name_of_the_path() -> None:
    made = refresh(fields={"a": 1}, headers={"X-A": "1"}, refresh_headers={"X-B": "2"}, role_field="role")
    body = b'{"how": "refresh", "role": "API_USER", "again": "canary-refresh"}'
    assert parts(made) == ("/refresh", JSON, {"X-B": "2", "Authorization": BASIC}, body)


@pytest.mark.parametrize("auth", [{}, IN_BODY, IN_HEADERS], ids=["basic", "body", "header"])
def test_a_refresh_without_credentials_has_none_anywhere(auth: dict[str, object]) -> None:
    made = refresh(**auth, refresh_auth=False)
    assert (made.headers, made.body) == ({}, b'{"how": "refresh", "again": "canary-refresh"}')


@pytest.mark.parametrize(("auth", "where"), [(IN_BODY, "body"), (IN_HEADERS, "headers")])
def test_a_refresh_with_credentials_has_them_where_a_grant_has_them(auth: dict[str, object], where: str) -> None:
    assert SECRET in str(getattr(refresh(**auth), where))


def test_pay1st_sends_what_it_always_sent() -> None:
    media = "application/vnd.carry1st.payments.partnerauthentication+json"
    preset = PRESETS["pay1st"]
    made = grant_request(preset, CREDENTIALS, "API_USER", None)
    assert parts(made) == ("/api/pay1st/auth/token", media, {"Authorization": BASIC}, b'{"role": "API_USER"}')
    made = refresh_request(preset, Secret(REFRESH), CREDENTIALS, "API_USER", None)
    body = b'{"role": "API_USER", "refreshToken": "canary-refresh"}'
    assert parts(made) == ("/api/pay1st/auth/refresh", media, {"Accept": media}, body)


SHAPES: list[Table] = [{}, IN_BODY, IN_HEADERS, IN_BODY | {"request": "form"}, {"request": "form"}]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_repr_shows_nothing_that_varies_and_every_secret_is_named(shape: dict[str, object]) -> None:
    constants = {"headers": {"X-Api-Key": "canary-header"}, "fields": {"password": "canary-field"}}
    made = grant(**shape, **constants)
    assert "canary" not in repr(made)
    assert {KEY, SECRET, SIGNING_KEY, "canary-header", "canary-field"} <= set(made.secrets)
    again = refresh(**shape, refresh_headers={"X-Api-Key": "canary-header"})
    assert "canary" not in repr(again)
    assert {REFRESH, KEY, SECRET, "canary-header"} <= set(again.secrets)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_is_shown_has_a_mask_for_each_secret_and_everything_else(shape: dict[str, object]) -> None:
    document = {"headers": {"X-Api-Key": "canary-header", "Accept": "x/y"}, "fields": {"a": 1, "pwd": "canary-field"}}
    shown = shown_requests(table(**shape, **document, **REFRESHES), "API_USER")
    assert [each.path for each in shown] == ["/token", "/refresh"]
    text = "".join(f"{each.headers} {each.body!r} {each.secrets}" for each in shown)
    assert "canary" not in text
    assert (shown[0].headers["X-Api-Key"], shown[0].headers["Accept"]) == ("***", "x/y")
    body = shown[0].body.decode()
    assert body.startswith('{"a": 1, "pwd": "***"' if shape.get("request") != "form" else "a=1&pwd=***")
    assert ("secret" in body) == (shape.get("client_auth") == "body")
    if not shape.get("client_auth"):
        assert {each.headers["Authorization"] for each in shown} == {"Basic ***"}


def test_an_assertion_is_shown_as_a_mask() -> None:
    (shown,) = shown_requests(table(client_auth="private_key_jwt", request="form"), "API_USER")
    kind = b"urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    assert (shown.headers, shown.body) == ({}, b"client_assertion_type=" + kind + b"&client_assertion=***")


def test_a_partner_without_refresh_shows_one_request() -> None:
    assert [each.body for each in shown_requests(table(), "API_USER")] == [b"{}"]
