"""Every key of a partner's table: values that it takes, and those that it refuses with a reason."""

from __future__ import annotations

import pytest

from sidecar.core.model import Secret
from sidecar.core.partner_table import PartnerTable
from sidecar.core.partner_vocabulary import KEYS, PartnerTableError, read_table
from sidecar.partner.presets import PRESETS

Table = dict[str, object]
RECIPE: Table = {"parts": ["body"], "timestamp_header": "X-T", "signature_header": "X-S", "encoding": "base64"}
WITH_REFRESH: Table = {"refresh_path": "/refresh", "refresh_field": "refreshToken"}
IN_BODY: Table = {"client_auth": "body", "key_field": "k", "secret_field": "s"}
IN_HEADERS: Table = {"client_auth": "header", "key_header": "X-K", "secret_header": "X-S"}
PATH = "must be a path such as /v2/session, without a query"
FIELD = "must be the name of one field, without dots and spaces"
HEADER = "must be the name of a header, such as X-Api-Key"
DOTTED = "must be the name of a field, or names joined by dots such as data.token"
TEXT = "must be printable text of at most 4096 characters"
URL = "must be a URL such as https://api.example.com"
SCHEME = 'must be a word such as Bearer, or "" to send the token alone'
SIGN_TEST: Table = {"key": "k", "timestamp": "t", "body": "b", "signature": "s"}
NO_CONSTANTS: list[object] = [1.5, None, [], {}, "a\nb", "\ud800", "x" * 4097, 2**63, -(2**64)]
STATUSES: list[object] = [204, 0, True, 200.0, "200", None]
NO_PARTS: list[object] = [
    [],
    ["timestamp"],
    ["body", "body"],
    ["body", "path"],
    [1, "body"],
    [[], {}],
    "body",
    None,
]

TAKEN: list[tuple[str, list[object], Table]] = [
    ("base_url", ["https://a.example", "http://127.0.0.1:80/x/", "https://[::1]:8443"], {}),
    ("token_path", ["/t", "/o/token/", "/a-b/c_d.e/~f!$&'()+,=:@*", "/..a"], {}),
    ("request", ["json", "form"], {}),
    ("oauth2", [False], {}),
    ("client_auth", ["basic", "private_key_jwt"], {}),
    ("key_field", ["client_id", "größe", "x" * 64], IN_BODY),
    ("secret_field", ["client_secret", "X-Secret"], IN_BODY),
    ("key_header", ["X-Api-Key", "Authorization"], IN_HEADERS),
    ("secret_header", ["x_secret"], IN_HEADERS),
    ("assertion_audience", ["https://login.example.com"], {"client_auth": "private_key_jwt"}),
    ("fields", [{}, {"role": "A", "ttl": 5, "live": True, "none": ""}, {"n": 2**63 - 1}], {}),
    ("role_field", ["role"], {}),
    ("content_type", ["application/vnd.acme+json", "application/json; charset=utf-8"], {}),
    ("headers", [{}, {"Accept": "application/json", "X-Version": "2"}], {}),
    ("success_status", [200, 201], {}),
    ("access_field", ["token", "data.token", "a.b.c.d"], {}),
    ("expires_field", ["data.expiresIn"], {}),
    ("refresh_path", ["/refresh"], WITH_REFRESH),
    ("refresh_field", ["data.refresh"], WITH_REFRESH),
    ("refresh_fields", [{"grant": "refresh"}], WITH_REFRESH),
    ("refresh_headers", [{"Accept": "*/*"}], WITH_REFRESH),
    ("refresh_auth", [True, False], WITH_REFRESH),
    ("token_header", ["Authorization", "X-Token"], {}),
    ("token_scheme", ["Bearer", "", "Token"], {}),
    ("sign", [RECIPE, RECIPE | {"parts": ["timestamp", "body"]}, RECIPE | {"parts": ["body", "timestamp"]}], {}),
    ("probe_path", ["/v2/me"], {}),
    ("sign_probe", [{"path": "/v2/orders", "content_type": "application/json"}], {"sign": RECIPE}),
    ("authentication_path", ["/auth"], {}),
    ("gateway_allow", [[], ["GET /v2/*", "POST /v2/orders"]], {}),
]

REFUSED: list[tuple[str, object, str]] = [
    *(("base_url", value, URL) for value in ("ftp://a", "https://", "https://u:p@a", "https://a?q", "http://[", 5)),
    *(("base_url", value, URL) for value in ("https://a:99999", "https://a:0", "https://a b", "https://a/\u202e")),
    *(("token_path", value, PATH) for value in ("token", "/", "", "/a?b", "/a#b", "/a%2Fb", "//a", "/a b", "/é", 1)),
    ("token_path", "/" + "a" * 256, PATH),
    ("token_path", "/a/../b", "must be a path without dot segments"),
    ("token_path", "/a/.", "must be a path without dot segments"),
    ("refresh_path", "refresh", PATH),
    ("probe_path", "/me?x=1", PATH),
    ("authentication_path", "", PATH),
    ("request", "xml", "must be json or form"),
    ("request", ["json"], "must be json or form"),
    ("oauth2", "true", "must be true or false"),
    ("oauth2", 1, "must be true or false"),
    ("refresh_auth", "no", "must be true or false"),
    ("client_auth", "none", "must be basic or body or header or private_key_jwt"),
    *(("key_field", value, FIELD) for value in ("", "a.b", "a b", "a\x00", "\ud800", "x" * 65, None, ["a"])),
    ("secret_field", "a.b", FIELD),
    ("role_field", 7, FIELD),
    *(("key_header", value, HEADER) for value in ("", "X Key", "X-Clé", "X:Y", "x" * 65, 3)),
    ("secret_header", "Content-Type", "must not be Content-Type, which has another use here"),
    ("token_header", "Sidecar-Token", "must not be Sidecar-Token, which has another use here"),
    ("token_header", "Token-Header", "must not be Token-Header, which has another use here"),
    ("assertion_audience", 5, TEXT),
    ("fields", ["role"], 'must be a table of fields, such as { role = "API_USER" }'),
    ("fields", {"a.b": "x"}, f"has a name that {FIELD}"),
    *(
        ("fields", {"a": value}, "must have printable text, a whole number, true or false for a")
        for value in NO_CONSTANTS
    ),
    ("refresh_fields", {"a": 1.5}, "must have printable text, a whole number, true or false for a"),
    ("headers", "Accept", 'must be a table of headers, such as { Accept = "application/json" }'),
    ("headers", {"Host": "x"}, "has a name that must not be Host, which has another use here"),
    ("headers", {"X Y": "x"}, f"has a name that {HEADER}"),
    *(
        ("headers", {"X-A": value}, "must have visible ASCII text for X-A, without spaces around it")
        for value in ("", " a", "a ", "a\r\nX-B: c", "é", 5, "x" * 4097)
    ),
    ("refresh_headers", {"via": "x"}, "has a name that must not be via, which has another use here"),
    *(("content_type", value, "must be a media type such as application/json") for value in ("json", "a/b\r\nX: y", 1)),
    ("content_type", "a/" + "b" * 256, "must be a media type such as application/json"),
    *(("access_field", value, DOTTED) for value in ("", ".", "a.", ".a", "a..b", "a b", "\ud800", "a." * 200 + "a", 9)),
    *(("success_status", value, "must be 200 or 201") for value in STATUSES),
    ("expires_field", [], DOTTED),
    ("refresh_field", "a..b", DOTTED),
    *(("token_scheme", value, SCHEME) for value in ("Bearer ", "a b", "é", "x" * 33, None)),
    ("sign", "hmac", "must be a table with parts, timestamp_header, signature_header, encoding"),
    ("sign", {}, "must have parts, timestamp_header, signature_header, encoding as well"),
    ("sign", RECIPE | {"encodin": "hex"}, "has encodin, which it does not know; did you mean encoding?"),
    ("sign", RECIPE | {"encoding": "HEX"}, "has encoding, which must be hex or base64"),
    ("sign", RECIPE | {"signature_header": "a b"}, f"has signature_header, which {HEADER}"),
    *(
        (
            "sign",
            RECIPE | {"parts": parts},
            'must have parts = ["timestamp", "body"] or ["body", "timestamp"], or ["body"] alone',
        )
        for parts in NO_PARTS
    ),
    ("sign_test", [], "must be a table with key, timestamp, body, signature"),
    ("sign_test", {"key": "k"}, "must have timestamp, body, signature as well"),
    ("sign_test", SIGN_TEST | {"body": 1}, f"has body, which {TEXT}"),
    ("sign_probe", "/v2/orders", "must be a table with path, content_type"),
    ("sign_probe", {"path": "x", "content_type": "a/b"}, f"has path, which {PATH}"),
    ("gateway_allow", "GET /v2/*", 'must be a list such as ["GET /v2/*"]'),
    ("gateway_allow", [5], TEXT),
    (
        "gateway_allow",
        ["get /v2"],
        "must have a method in capitals, but not CONNECT or TRACE, and a path, such as GET /payments*",
    ),
]


def problems(document: dict[str, object]) -> tuple[str, ...]:
    with pytest.raises(PartnerTableError) as caught:
        read_table("acme", document)
    return caught.value.problems


def made(document: dict[str, object]) -> PartnerTable:
    return read_table("acme", {"token_path": "/token"} | document)


@pytest.mark.parametrize(
    ("key", "value", "others"), [(key, one, others) for key, all_, others in TAKEN for one in all_]
)
def test_a_value_that_can_work_is_taken(key: str, value: object, others: dict[str, object]) -> None:
    table = made(others | {key: value})
    if key not in ("sign", "sign_probe", "gateway_allow", "base_url"):
        assert getattr(table, key) == value


@pytest.mark.parametrize(("key", "value", "reason"), REFUSED)
def test_a_value_that_cannot_work_is_refused_with_what_it_must_be(key: str, value: object, reason: str) -> None:
    assert problems({"token_path": "/token"} | {key: value}) == (f"{key} {reason}",)


def test_every_key_is_tested() -> None:
    refused = {key for key, _, _ in REFUSED}
    assert set(KEYS) == refused
    assert {key for key, _, _ in TAKEN} | {"sign_test"} == refused


def test_a_published_signature_is_taken_with_its_recipe() -> None:
    preset = PRESETS["pay1st"]
    assert preset.sign_test is not None
    signature = {name: getattr(preset.sign_test, name) for name in ("timestamp", "body", "signature")}
    key = preset.sign_test.key.reveal()
    recipe = {
        "parts": ["timestamp", "body"],
        "timestamp_header": "X-T",
        "signature_header": "X-S",
        "encoding": "hex",
    }
    assert made({"sign": recipe, "sign_test": signature | {"key": key}}).sign_test == preset.sign_test


def test_a_slash_at_the_end_of_the_url_is_left_out_and_rules_are_written_in_one_way() -> None:
    table = made({"base_url": "https://a.example/x/", "gateway_allow": ["GET   /v2/*"]})
    assert (table.base_url, table.gateway_allow) == ("https://a.example/x", ("GET /v2/*",))


def test_a_constant_with_the_name_of_a_secret_is_one() -> None:
    names = ("X-Api-Key", "client_secret", "Subscription-Token", "password", "PWD", "Authorization", "credential")
    document = {"client_auth": "body", "key_field": "k", "secret_field": "s"}
    fields: Table = {"role": "no secret", "key_version": "short-1", "token_size": 12345678}
    table = made(document | {"headers": dict.fromkeys(names, "canary-4711"), "fields": fields})
    assert table.headers == dict.fromkeys(names, Secret("canary-4711"))
    assert table.secrets == (Secret("canary-4711"),) * len(names)
    assert table.fields == fields
    assert "canary" not in repr(table)
