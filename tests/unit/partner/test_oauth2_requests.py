"""Token requests of `SIDECAR_PARTNER=oauth2`, by each way of client authentication."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import parse_qs, unquote, unquote_plus

import pytest

from sidecar.core.model import Credentials, Secret
from sidecar.core.partner_table import PartnerTable
from sidecar.core.partner_vocabulary import read_table
from sidecar.partner.token_request import Assertion, TokenRequest, grant_request
from tests.support.private_keys import ec_key, pem

ASSERTION = Assertion(audience="https://server.example/token", jwt_id="id-1", now=0)


def table(client_auth: str, **fields: str) -> PartnerTable:
    fields = {"grant_type": "client_credentials", **fields}
    document = {"token_path": "/token", "oauth2": True, "request": "form", "client_auth": client_auth}
    return read_table("oauth2", {**document, "fields": fields})


def request(client_auth: str, key: str, secret: str, **fields: str) -> TokenRequest:
    credentials = Credentials(api_key=Secret(key), api_secret=Secret(secret))
    return grant_request(table(client_auth, **fields), credentials, "API_USER", ASSERTION)


@pytest.mark.parametrize("decode", [unquote, unquote_plus], ids=["percent-encoding", "form-encoding"])
@pytest.mark.parametrize("text", ["plain-1_.~", "a:b", "100%", "a+b c", "übergrößen", "/?&=", "%20", "日本"])
def test_basic_is_decoded_alike_by_those_who_read_forms_and_those_who_read_percent_encoding(
    text: str, decode: Callable[[str], str]
) -> None:
    """RFC 6749 section 2.3.1 asks for the encoding of forms; some servers decode only `%XX`, such as Authlib's."""
    basic = request("basic", text, f"{text}-secret").headers["Authorization"].removeprefix("Basic ")
    key, _, secret = base64.b64decode(basic).decode().partition(":")
    assert (decode(key), decode(secret)) == (text, f"{text}-secret")


def test_basic_sends_plain_credentials_unchanged() -> None:
    """So servers that decode nothing accept the usual ones, too."""
    assert request("basic", "client-1_.~", "S3cret").headers["Authorization"] == (
        f"Basic {base64.b64encode(b'client-1_.~:S3cret').decode()}"
    )


def test_the_body_has_client_id_and_secret() -> None:
    sent = request("body", "a:b c", "ü&=+", scope="payments refunds")
    assert parse_qs(sent.body.decode()) == {
        "grant_type": ["client_credentials"], "scope": ["payments refunds"], "client_id": ["a:b c"],
        "client_secret": ["ü&=+"],
    }  # fmt: skip
    assert "Authorization" not in sent.headers


def test_an_assertion_stands_for_client_id_and_secret_and_the_key_is_never_sent() -> None:
    """RFC 7521 section 4.2: a client_id beside it is not necessary."""
    text = pem(ec_key())
    sent = request("private_key_jwt", "client-1", text)
    fields = parse_qs(sent.body.decode())
    (assertion,) = fields.pop("client_assertion")
    assert fields == {
        "grant_type": ["client_credentials"],
        "client_assertion_type": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
    }  # fmt: skip
    assert assertion.count(".") == 2
    assert assertion in sent.secrets
    assert "PRIVATE" not in sent.body.decode()
    assert assertion not in repr(sent)
