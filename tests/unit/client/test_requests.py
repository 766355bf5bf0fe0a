"""How the header of the partner is found in a response, and how its token is reported."""

from __future__ import annotations

import json

import pytest

from sidecar.client.errors import TokenUnavailableError
from sidecar.client.requests import PartnerHeader, SidecarRequests, partner_headers

OTHERS = {"Cache-Control": "no-store", "ETag": '"id"', "Server": "token-sidecar"}


@pytest.mark.parametrize(
    ("headers", "name", "value"),
    [
        ({"AccessToken": "Bearer t"}, "AccessToken", "Bearer t"),
        ({"Token-Header": "X-Token", "X-Token": "t"}, "X-Token", "t"),
        ({"X-Token": "Token t", "token-header": "x-token"}, "X-Token", "Token t"),
        ({"Token-Header": "X-Token", "Other": "Bearer o", "X-Token": "t"}, "X-Token", "t"),
    ],
)
def test_the_header_is_the_named_one_or_the_one_with_a_bearer_token(
    headers: dict[str, str], name: str, value: str
) -> None:
    token = PartnerHeader(name, value)
    assert partner_headers(SidecarRequests().headers("GET"), 200, OTHERS | headers, b"").token == token
    signing = SidecarRequests(sign=True).headers("POST", b"{}")
    naming = {name: value for name, value in headers.items() if name.lower() == "token-header"}
    given = {name: value for name, value in headers.items() if name not in naming}
    body = json.dumps({"headers": given | {"X-Signature": "s"}}).encode()
    found = partner_headers(signing, 200, OTHERS | naming, body)
    assert (found.token, PartnerHeader("X-Signature", "s") in found.signature) == (token, True)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"AccessToken": "t"},
        {"AccessToken": "Bearer "},
        {"AccessToken": "Bearer a b"},
        {"Token-Header": "X-Token"},
        {"Token-Header": "X-Token", "AccessToken": "Bearer t"},
        {"Token-Header": "X-Token", "X-Token": ""},
        {"Token-Header": "X-Token", "X-Token": "a b c"},
        {"Token-Header": "X-Token", "X-Token": "a\nb"},
    ],
    ids=str,
)
def test_a_response_without_a_usable_header_is_an_error(headers: dict[str, str]) -> None:
    with pytest.raises(TokenUnavailableError):
        partner_headers(SidecarRequests().headers("GET"), 200, OTHERS | headers, b"")


@pytest.mark.parametrize("value", ["Bearer token-1", "token-1", "Token token-1"])
def test_the_token_is_reported_without_its_scheme(value: str) -> None:
    request = SidecarRequests().rejected(PartnerHeader("X-Token", value))
    assert json.loads(request.body) == {"accessToken": "token-1"}
