"""A partner's table as a whole: its defaults, unknown keys, and each combination that cannot work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.core.model import Secret
from sidecar.core.partner_table import PartnerTable, TokenHeader
from sidecar.core.partner_vocabulary import KEYS, PartnerTableError, read_table
from sidecar.core.signing import SigningRecipe

FORM = "application/x-www-form-urlencoded"
Table = dict[str, object]
MINIMAL: Table = {"token_path": "/v2/session"}
BODY: Table = MINIMAL | {"client_auth": "body", "key_field": "id", "secret_field": "secret"}
HEADER: Table = MINIMAL | {"client_auth": "header", "key_header": "X-Id", "secret_header": "X-Secret"}
REFRESH: Table = MINIMAL | {"refresh_path": "/v2/refresh", "refresh_field": "refreshToken"}
OAUTH2: Table = MINIMAL | {"oauth2": True, "request": "form", "fields": {"grant_type": "client_credentials"}}
RECIPE: Table = {
    "parts": ["timestamp", "body"],
    "timestamp_header": "X-T",
    "signature_header": "X-S",
    "encoding": "hex",
}
VECTOR = {"key": "canary-4711", "timestamp": "t", "body": "b", "signature": "é"}

CANNOT_WORK: list[tuple[Table, str]] = [
    (
        MINIMAL | {"key_field": "id"},
        "key_field has no use with client_auth = 'basic': remove it, or set client_auth = 'body'",
    ),
    (
        MINIMAL | {"secret_header": "X-Id"},
        "secret_header has no use with client_auth = 'basic': remove it, or set client_auth = 'header'",
    ),
    (
        BODY | {"key_header": "X-Id"},
        "key_header has no use with client_auth = 'body': remove it, or set client_auth = 'header'",
    ),
    (
        {key: BODY[key] for key in BODY if key != "key_field"},
        "key_field is missing: client_auth = 'body' sends the credentials in key_field and secret_field",
    ),
    (
        {key: HEADER[key] for key in HEADER if key != "secret_header"},
        "secret_header is missing: client_auth = 'header' sends the credentials in key_header and secret_header",
    ),
    (
        MINIMAL | {"assertion_audience": "https://a"},
        "assertion_audience has no use with client_auth = 'basic': remove it",
    ),
    (
        MINIMAL | {"client_auth": "private_key_jwt", "fields": {"client_assertion": "a"}},
        "fields would send client_assertion twice",
    ),
    (MINIMAL | {"refresh_field": "refresh"}, "refresh_field has no use without refresh_path"),
    (MINIMAL | {"refresh_fields": {"a": 1}}, "refresh_fields has no use without refresh_path"),
    (MINIMAL | {"refresh_headers": {}}, "refresh_headers has no use without refresh_path"),
    (MINIMAL | {"refresh_auth": False}, "refresh_auth has no use without refresh_path"),
    (
        MINIMAL | {"refresh_path": "/v2/refresh"},
        "refresh_field is missing: the field of the response with the refresh token",
    ),
    (
        REFRESH | {"refresh_path": "/v2/session"},
        "refresh_fields is missing: a refresh at token_path needs a field that says what it is",
    ),
    (
        {key: OAUTH2[key] for key in OAUTH2 if key != "fields"},
        "fields needs a grant_type, which OAuth 2.0 requires, such as client_credentials",
    ),
    (
        OAUTH2 | {"refresh_path": "/r", "refresh_field": "refresh_token"},
        "refresh_fields needs a grant_type, which OAuth 2.0 requires, such as refresh_token",
    ),
    (MINIMAL | {"fields": {"role": "A"}, "role_field": "role"}, "fields would send role twice"),
    (BODY | {"fields": {"id": "A"}}, "fields would send id twice"),
    (BODY | {"secret_field": "id"}, "fields would send id twice"),
    (REFRESH | {"refresh_fields": {"refreshToken": "A"}}, "refresh_fields would send refreshToken twice"),
    (REFRESH | {"refresh_field": "data.role", "role_field": "role"}, "refresh_fields would send role twice"),
    (MINIMAL | {"headers": {"authorization": "x"}}, "headers would send authorization twice"),
    (MINIMAL | {"headers": {"X-A": "x", "x-a": "y"}}, "headers would send x-a twice"),
    (HEADER | {"secret_header": "x-id"}, "headers would send x-id twice"),
    (REFRESH | {"refresh_headers": {"Authorization": "x"}}, "refresh_headers would send authorization twice"),
    (
        MINIMAL | {"expires_field": "accessToken"},
        "access_field and expires_field cannot both be read: accessToken and accessToken are one place",
    ),
    (
        REFRESH | {"access_field": "data", "refresh_field": "data.refresh"},
        "access_field and refresh_field cannot both be read: data and data.refresh are one place",
    ),
    (
        MINIMAL | {"access_field": "data.token", "role_field": "data"},
        "access_field and role_field cannot both be read: data.token and data are one place",
    ),
    (
        OAUTH2 | {"access_field": "token_type"},
        "access_field and token_type cannot both be read: token_type and token_type are one place",
    ),
    (
        MINIMAL | {"request": "form", "content_type": "application/json"},
        "content_type application/json is not that of a form: leave it out, or set request = 'json'",
    ),
    (
        MINIMAL | {"content_type": FORM},
        f"content_type {FORM} is not that of JSON: leave it out, or set request = 'form'",
    ),
    (MINIMAL | {"sign_test": VECTOR}, "sign_test has no use without sign"),
    (MINIMAL | {"sign_probe": {"path": "/p", "content_type": "a/b"}}, "sign_probe has no use without sign"),
    (
        MINIMAL | {"sign": RECIPE, "sign_test": VECTOR},
        "sign_test does not agree with sign: the recipe gives another signature",
    ),
    (
        MINIMAL | {"sign": RECIPE | {"timestamp_header": "x-s"}},
        "sign needs two headers that differ from each other and from token_header",
    ),
    (
        MINIMAL | {"sign": RECIPE, "token_header": "X-T"},
        "sign needs two headers that differ from each other and from token_header",
    ),
    (MINIMAL | {"probe_path": "/v2/session"}, "probe_path must be another path than those of tokens"),
    (
        MINIMAL | {"gateway_allow": ["GET /v2/*", "POST /V2/Session"]},
        "gateway_allow has POST /V2/Session, which is never forwarded: apps must not get tokens themselves",
    ),
    (
        MINIMAL | {"authentication_path": "/auth", "gateway_allow": ["GET /auth/me"]},
        "gateway_allow has GET /auth/me, which is never forwarded: apps must not get tokens themselves",
    ),
]


def problems(document: dict[str, object]) -> tuple[str, ...]:
    with pytest.raises(PartnerTableError) as caught:
        read_table("acme", document)
    assert str(caught.value) == "; ".join(caught.value.problems)
    return caught.value.problems


def test_a_table_needs_a_path_alone_and_is_json_with_basic() -> None:
    table = read_table("acme", MINIMAL)
    assert table == PartnerTable(
        name="acme", token_path="/v2/session", content_type="application/json", access_field="accessToken"
    )
    assert (table.request, table.client_auth, table.refresh_auth) == ("json", "basic", True)
    assert table.header == TokenHeader("Authorization", "Bearer")
    assert table.authentication_paths == ("/v2/session",)


def test_a_form_has_its_content_type_and_oauth2_its_fields() -> None:
    assert read_table("acme", MINIMAL | {"request": "form"}).content_type == "application/x-www-form-urlencoded"
    table = read_table("acme", OAUTH2 | {"client_auth": "body"})
    assert (table.access_field, table.key_field, table.secret_field) == ("access_token", "client_id", "client_secret")
    assert read_table("acme", OAUTH2 | {"client_auth": "body", "key_field": "id"}).key_field == "id"


@pytest.mark.parametrize(("document", "problem"), CANNOT_WORK, ids=lambda value: str(value)[:40])
def test_a_combination_that_cannot_work_is_one_sentence(document: dict[str, object], problem: str) -> None:
    assert problems(document) == (problem,)
    assert problem.split()[0] in KEYS


def test_no_problem_quotes_the_key_of_a_published_signature() -> None:
    assert "canary" not in "".join(problems(MINIMAL | {"sign": RECIPE, "sign_test": VECTOR}))


def test_a_rule_may_be_for_paths_that_begin_like_a_token_path() -> None:
    rules = ["GET /v2/session*", "GET /v2/*"]
    assert read_table("acme", MINIMAL | {"gateway_allow": rules}).gateway_allow == tuple(rules)
    assert problems(MINIMAL | {"gateway_allow": ["GET /v2/session/*"]})


def test_a_refresh_without_credentials_may_send_the_names_of_credentials_itself() -> None:
    public = BODY | REFRESH | {"refresh_auth": False, "refresh_fields": {"id": "public"}}
    assert read_table("acme", public).refresh_fields == {"id": "public"}
    basic = REFRESH | {"refresh_auth": False, "refresh_headers": {"Authorization": "Basic abcd"}}
    assert read_table("acme", basic).refresh_headers == {"Authorization": Secret("Basic abcd")}


def test_every_problem_is_told_at_once_and_combinations_after_the_values() -> None:
    found = problems({"token_pat": "/x", "request": "xml", "key_field": "a b"})
    assert found == (
        "token_pat is not a key of a partner; did you mean token_path?",
        "request must be json or form",
        "key_field must be the name of one field, without dots and spaces",
        "token_path is missing: the path that issues tokens, such as /v2/session",
    )
    assert problems(MINIMAL | {"key_field": "id", "refresh_auth": True, "probe_path": "/v2/session"}) == (
        "key_field has no use with client_auth = 'basic': remove it, or set client_auth = 'body'",
        "refresh_auth has no use without refresh_path",
        "probe_path must be another path than those of tokens",
    )


@pytest.mark.parametrize(
    ("key", "end"),
    [
        ("expire_field", "; did you mean expires_field?"),
        ("tokenHeader", "; did you mean token_header?"),
        ("name", ""),
        ("template", ""),
    ],
)
def test_an_unknown_key_is_refused_with_the_closest_known_one(key: str, end: str) -> None:
    (problem,) = problems(MINIMAL | {key: "x"})
    assert problem == f"{key} is not a key of a partner{end}"


def test_an_odd_key_is_shown_on_one_line_and_cut() -> None:
    assert problems(MINIMAL | {"a b\n" + "x" * 100: 1}) == (f"a?b?{'x' * 60} is not a key of a partner",)


def test_the_published_signature_has_to_agree_with_the_recipe() -> None:
    recipe = SigningRecipe(parts=("body",), timestamp_header="X-T", signature_header="X-S", encoding="hex")
    published = {
        "key": "key",
        "timestamp": "t",
        "body": "The quick brown fox jumps over the lazy dog",
        # https://en.wikipedia.org/wiki/HMAC#Examples
        "signature": "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
    }
    table = read_table("acme", MINIMAL | {"sign": RECIPE | {"parts": ["body"]}, "sign_test": published})
    assert table.sign == recipe
    wrong = published | {"signature": published["signature"].upper()}
    assert problems(MINIMAL | {"sign": RECIPE | {"parts": ["body"]}, "sign_test": wrong})
    assert replace(table, sign=None).sign_test == table.sign_test
