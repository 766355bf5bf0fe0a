"""Which headers pass in each direction: all but those that RFC 9110 forbids, and those that are written here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.gateway.headers import for_app, for_partner

OURS = frozenset(("accesstoken", "x-timestamp", "x-signature"))
HOP_BY_HOP = (
    "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings",
    "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info",
)  # fmt: skip
OF_GUARDS = (
    "Sidecar-Request", "Sidecar-Token", "Sidecar-Anything", "Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Via",
    "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Host",
)  # fmt: skip
SECRETS = ("AccessToken", "Authorization", "X-TIMESTAMP", "X-SIGNATURE")
OTHER_REQUESTS = (
    "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL",
)  # fmt: skip
WRITTEN_HERE = ("Content-Length", "Expect")
DROPPED = (*HOP_BY_HOP, *OF_GUARDS, *SECRETS, *OTHER_REQUESTS, *WRITTEN_HERE)
MARKS = ("Sidecar-Answer", "Sidecar-Attempts", "Sidecar-Token", "Token-Id", "Token-Suspect")
KEPT = [
    ("Accept", "*/*"), ("Accept-Encoding", "br"), ("Content-Type", "application/json"), ("Cookie", "a=b"),
    ("Idempotency-Key", "1"), ("traceparent", "00-1-2-01"), ("X-Custom", "1"), ("X-Custom", "2"),
]  # fmt: skip


def passed(*headers: tuple[str, str]) -> list[tuple[str, str]]:
    return list(for_partner(headers, OURS))


def returned(*headers: tuple[str, str]) -> list[tuple[str, str]]:
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    return [(name.decode(), value.decode()) for name, value in for_app(encoded)]


def test_other_headers_pass_as_they_are_in_their_order() -> None:
    assert passed(*KEPT) == returned(*KEPT) == KEPT


@pytest.mark.parametrize("name", DROPPED)
@pytest.mark.parametrize("spelling", [str, str.lower, str.upper, lambda name: name.replace("-", "_")])
def test_these_do_not_reach_the_partner_in_any_spelling(name: str, spelling: object) -> None:
    assert callable(spelling)
    assert passed(KEPT[0], (spelling(name), "x"), KEPT[1]) == KEPT[:2]


def test_what_only_begins_like_a_dropped_header_passes() -> None:
    headers = [("Connections", "1"), ("AccessTokens", "2"), ("X-Forward", "3"), ("Viable", "4"), ("X-Signature-2", "5")]
    assert passed(*headers) == headers


@pytest.mark.parametrize("name", [*HOP_BY_HOP, *MARKS, "Content-Length"])
@pytest.mark.parametrize("spelling", [str, str.lower, str.upper, lambda name: name.replace("-", "_")])
def test_these_do_not_reach_the_app_in_any_spelling(name: str, spelling: object) -> None:
    assert callable(spelling)
    assert returned(KEPT[0], (spelling(name), "x"), KEPT[1]) == KEPT[:2]


def test_headers_of_the_partner_about_its_response_pass() -> None:
    headers = [
        ("Date", "now"), ("Server", "x"), ("Retry-After", "7"), ("Location", "/a"), ("Set-Cookie", "a"),
        ("Set-Cookie", "b"), ("Content-Encoding", "gzip"), ("Via", "1.1 other"), ("WWW-Authenticate", "x"),
    ]  # fmt: skip
    assert returned(*headers) == headers


@pytest.mark.parametrize(
    "connection",
    [
        [("Connection", "X-Custom")],
        [("connection", "close, x-custom")],
        [("CONNECTION", " close ,\tX-CUSTOM\t, ")],
        [("Connection", "close"), ("Connection", "X-Custom")],
        [("Connection", "X_Custom")],
    ],
)
def test_headers_that_connection_names_are_hop_by_hop(connection: list[tuple[str, str]]) -> None:
    assert passed(*connection, *KEPT) == returned(*connection, *KEPT) == KEPT[:6]
    assert passed(("x_custom", "3"), *connection) == returned(("x_custom", "3"), *connection) == []


NAMES = st.sampled_from([*DROPPED, *MARKS, *(name for name, _ in KEPT), "X_Custom"]).flatmap(
    lambda name: st.sampled_from([name, name.lower(), name.upper(), name.replace("-", "_")])
)
HEADERS = st.lists(st.tuples(NAMES, st.sampled_from(["x", "close", "X-Custom", "accept, cookie", ","])), max_size=8)


@given(HEADERS)
def test_both_directions_only_remove(headers: list[tuple[str, str]]) -> None:
    nominated = {
        option.strip().lower().replace("_", "-")
        for name, value in headers
        if name.lower() == "connection"
        for option in value.split(",")
    }
    for found, never in ((passed(*headers), DROPPED), (returned(*headers), (*HOP_BY_HOP, *MARKS))):
        forbidden = {name.lower() for name in never} | nominated
        rest = iter(headers)
        assert all(header in rest for header in found)
        assert not {name.lower().replace("_", "-") for name, _ in found} & forbidden
