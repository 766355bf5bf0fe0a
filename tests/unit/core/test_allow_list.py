"""Which requests pass the gateway: only what is listed, and no path that servers read in different ways."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.allow_list import AllowList, read_rule

RULES = ("GET /api/pay1st/*", "POST /api/pay1st/payments/create", "POST /api/pay1st/payments/fulfilments")
ALLOW = AllowList(map(read_rule, RULES), ["/api/pay1st/auth"])


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/pay1st/payments"),
        ("GET", "/api/pay1st/payments/methods?countryCode=NG"),
        ("GET", "/api/pay1st/payments?reference=C-1-P&x=%2F..%2Fauth"),
        ("GET", "/api/pay1st/"),
        ("GET", "/api/pay1st/payments/a%20b"),
        ("GET", "/api/pay1st/authors"),
        ("GET", "/api/pay1st/auth-methods"),
        ("GET", "/api/pay1st/payments/a."),
        ("GET", "/api/pay1st/payments/+234"),
        ("POST", "/api/pay1st/payments/create"),
        ("POST", "/api/pay1st/payments/create?x=1"),
        ("POST", "/api/pay1st/payments/fulfilments"),
    ],
)
def test_what_is_listed_passes(method: str, target: str) -> None:
    assert ALLOW.allows(method, target)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("get", "/api/pay1st/payments"),
        ("HEAD", "/api/pay1st/payments"),
        ("POST", "/api/pay1st/payments"),
        ("POST", "/api/pay1st/payments/create/"),
        ("POST", "/api/pay1st/payments/createx"),
        ("POST", "/api/pay1st/transactions/refunds/create"),
        ("GET", "/api/pay1st"),
        ("GET", "/api/distributors/products"),
        ("GET", "/api/pay1st/auth"),
        ("GET", "/api/pay1st/auth/token"),
        ("GET", "/api/pay1st/AUTH/token"),
        ("GET", "/api/pay1st/auth/"),
        ("GET", "/api/pay1st/%61uth/token"),
        ("GET", "/api/pay1st/%61%75%74%68"),
        ("GET", "/api/pay1st/auth%20/token"),
        ("GET", "/api/pay1st/%20auth/token"),
        ("GET", "/api/pay1st/+auth+/token"),
        ("GET", "/api/pay1st/auth./token"),
        ("GET", "/api/pay1st/auth.json"),
        ("GET", "/api/pay1st/auth,x/token"),
        ("GET", "/api/pay1st/(S(x))/auth/token"),
        ("GET", "/api/pay1st/payments/..%20/auth"),
        ("GET", "/api/pay1st/payments/%20../auth"),
        ("GET", "/api/pay1st/payments/.../auth"),
        ("GET", "/api/pay1st/payments/%20/x"),
        ("GET", "/api/pay1st/payments/+"),
        ("GET", "/api/pay1st//auth/token"),
        ("GET", "/api/pay1st/payments/../auth/token"),
        ("GET", "/api/pay1st/./auth/token"),
        ("GET", "/api/pay1st/payments/.."),
        ("GET", "/api/pay1st/payments/%2e%2e/auth/token"),
        ("GET", "/api/pay1st/payments/%2E./auth/token"),
        ("GET", "/api/pay1st/payments%2f..%2fauth"),
        ("GET", "/api/pay1st/payments%5c..%5cauth"),
        ("GET", "/api/pay1st/payments\\..\\auth"),
        ("GET", "/api/pay1st/payments%252e"),
        ("GET", "/api/pay1st/auth;x=1/token"),
        ("GET", "/api/pay1st/..;/auth/token"),
        ("GET", "/api/pay1st/%3bx/auth"),
        ("GET", "/api/pay1st/payments%00"),
        ("GET", "/api/pay1st/payments%0d%0aX: y"),
        ("GET", "/api/pay1st/payments%"),
        ("GET", "/api/pay1st/payments%zz"),
        ("GET", "/api/pay1st/payments#x"),
        ("GET", "/api/pay1st/payments?x=1#y"),
        ("GET", "/api/pay1st/payments x"),
        ("GET", "/api/pay1st/payments?x=\x00"),
        ("GET", "/api/pay1st/payments?x=é"),
        ("GET", "/api/pay1st/é"),
        ("GET", "http://api-gateway.carry1st.com/api/pay1st/payments"),
        ("GET", "//evil.example/api/pay1st/payments"),
        ("GET", "*"),
        ("CONNECT", "api-gateway.carry1st.com:443"),
        ("GET", ""),
        ("GET", "?x=1"),
    ],
)
def test_everything_else_does_not(method: str, target: str) -> None:
    assert not ALLOW.allows(method, target)


def test_a_path_of_authentication_never_passes_even_when_it_is_listed() -> None:
    allow = AllowList([read_rule("POST /api/pay1st/auth/token"), read_rule("POST /*")], ["/api/pay1st/auth"])
    assert not allow.allows("POST", "/api/pay1st/auth/token")
    assert allow.allows("POST", "/api/pay1st/payments/create")


@given(st.text(st.sampled_from("/.%2eEfF5cCauthAUTH;?#\\ p"), max_size=24))
def test_no_path_of_authentication_is_reached_by_resolving_a_path_that_passes(rest: str) -> None:
    target = "/api/pay1st/" + rest
    if ALLOW.allows("GET", target):
        assert "auth" not in resolved(target)[2:3]


def resolved(target: str) -> list[str]:
    """The segments as a careless server reads them: decoded twice, cut at `;`, joined, dots resolved, in lower case."""
    from urllib.parse import unquote

    path = unquote(unquote(target.partition("?")[0].partition("#")[0])).replace("\\", "/").lower()
    segments: list[str] = []
    for segment in (part.partition(";")[0] for part in path.split("/")):
        if segment == "..":
            segments = segments[:-1]
        elif segment not in ("", "."):
            segments.append(segment)
    return segments


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("get /x", "method in capitals"),
        ("/x", "method in capitals"),
        ("CONNECT /x", "not CONNECT or TRACE"),
        ("TRACE /x", "not CONNECT or TRACE"),
        ("GET", "begins with '/'"),
        ("GET x", "begins with '/'"),
        ("GET /a*/b", "last character"),
        ("GET /a/../b", "never matches"),
        ("GET /a//b", "never matches"),
        ("GET /a?b=1", "never matches"),
        ("GET /a%2Fb", "never matches"),
        ("GET /a;b", "never matches"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read_rule(text)


def test_a_rule_is_shown_as_it_was_written() -> None:
    assert [str(read_rule(rule)) for rule in RULES] == list(RULES)
