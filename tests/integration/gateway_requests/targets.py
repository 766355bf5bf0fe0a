"""The target of a request: what is not a plain path on the list does not pass, and what passes is sent as it is."""

from __future__ import annotations

from collections.abc import Iterator

from tests.integration.gateway_requests.cases import CLOSES, NOT_ALLOWED, UNREADABLE, Case, Family, by_parser, get, head

_BASE = b"/api/pay1st"
_PASS = (
    b"/payments", b"/", b"/payments/", b"/payments/a/b/c", b"/payments?reference=C-1-P", b"/payments?x=%2F..%2Fauth",
    b"/payments?x=/../auth", b"/payments?a=1&b=&&c", b"/payments??", b"/payments?x=[1]&y={2}|3^4`5\"6<7>8\\9",
    b"/payments/a%20b", b"/payments/%41%7e%2D", b"/payments/~a!$&'()+,=:@*-_.b", b"/authors", b"/auth-methods",
    b"/payments/auth", b"/payments?x=http://evil.test/", b"/a:80/@b", b"/payments?" + b"x" * 4000,
    b"/" + b"p" * 4000,
)  # fmt: skip
_FORBIDDEN = (
    b"/auth", b"/auth/", b"/auth/token", b"/AUTH/token", b"/Auth/Token", b"/%61uth/token", b"/%61%75%74%68",
    b"/auth?x=1", b"/auth/refresh?x", b"/aut%48",
    b"/./auth", b"/../pay1st/auth", b"/payments/../auth/token", b"/payments/..", b"/payments/.", b"/payments/./x",
    b"/payments/%2e%2e/auth", b"/payments/%2E./auth", b"/payments/.%2e/auth", b"/%2e/auth",
    b"/payments/%252e%252e/auth",
    b"/payments%2f..%2fauth", b"/payments%2F%2E%2E%2Fauth", b"/payments%252fauth", b"/payments%25252fauth",
    b"/payments\\..\\auth", b"/payments%5c..%5cauth", b"/payments/..%5cauth", b"/payments/%c0%ae%c0%ae/auth",
    b"/payments/%c0%afauth", b"/payments/%e0%80%ae%e0%80%ae/auth", b"/payments/%f0%80%80%af",
    b"/payments/%uff0e%uff0e/auth", b"/payments/%u002e%u002e/auth", b"/payments/%EF%BC%8E%EF%BC%8E/auth",
    b"/%EF%BD%81uth/token",
    b"//auth/token", b"/payments//x", b"//", b"/payments//", b"/payments/%2f", b"/payments%2f",
    b"/auth;x=1/token", b"/;/auth", b"/..;/auth", b"/payments;x=1", b"/payments;", b"/payments%3bx",
    b"/payments/..;/auth",
    b"/payments%00", b"/payments%00/../auth", b"/payments%0d%0aX:%20y", b"/payments%0a", b"/payments%09",
    b"/payments%7f",
    b"/payments%", b"/payments%2", b"/payments%zz", b"/payments%%32%65", b"/payments/%3f/auth", b"/payments%23",
    b"/payments/%3F", b"/payments/{x}", b"/payments/[x]", b"/payments/a|b", b"/payments/a^b", b'/payments/"a"',
    b"/payments/<a>", b"/payments/`a`", b"/payments?x=%", b"/payments?x=%zz",
    b"/auth%20/token", b"/%20auth/token", b"/auth+/token", b"/auth./token", b"/auth.", b"/auth%20",
    b"/payments/..%20/auth",
    b"/payments/%20../auth", b"/payments/.+./auth", b"/payments/.../auth", b"/payments/%20/x", b"/(S(x))/auth/token",
    b"/auth.json", b"/auth,/token",
)  # fmt: skip
"""Behind `/api/pay1st`."""
_BEYOND_ASCII = (
    "/\uff41uth/token".encode(), "/\uff0e\uff0e/auth".encode(), b"/\xe1uth", b"/payments/\xc0\xae\xc0\xae",
    b"/payments?x=\xe9", "/payments?x=é".encode(), "/payments/\u212a".encode(),
)  # fmt: skip
_ELSEWHERE = (
    b"/", b"/api", b"/api/pay1st", b"/API/pay1st/payments", b"/api/pay1st.evil/x", b"/api/pay1stx/payments",
    b"/api/distributors/products", b"/api/distributors/auth/token", b"//api/pay1st/payments",
    b"/x/api/pay1st/payments",
    b"/%61pi/pay1st/payments", b"/api%2fpay1st/payments", b"/api/./pay1st/payments", b"/api/../api/pay1st/payments",
    b"//evil.test/api/pay1st/payments", b"/\\evil.test/api/pay1st/payments", b"/?/api/pay1st/payments",
    b"http://localhost/api/pay1st/payments", b"HTTP://LOCALHOST/api/pay1st/payments",
    b"https://localhost:8282/api/pay1st/x",
    b"http://127.0.0.1/api/pay1st/payments", b"http://evil.test/api/pay1st/payments",
    b"http://localhost@evil.test/api/pay1st/",
    b"http://evil.test@localhost/api/pay1st/payments", b"http://[::1]/api/pay1st/payments",
    b"http://localhost", b"ftp://localhost/api/pay1st/payments", b"/api/pay1st/payments#x",
    b"/api/pay1st/payments#/../auth",
    b"/api/pay1st/payments?x=1#/../auth",
)  # fmt: skip
_NO_TARGETS = (
    b"http:///api/pay1st/payments", b"file:///api/pay1st/payments",
    b"localhost:8282", b"localhost:80/api/pay1st/payments", b"api/pay1st/payments", b"*", b"?x", b"#",
    b"/api/pay1st/pay ments", b" /api/pay1st/payments",
    b"/api/pay1st/payments ", b"/api/pay1st/payments\tx", b"/api/pay1st/payments\x00", b"/api/pay1st/payments\x01x",
    b"/api/pay1st/payments\x7f", b"/api/pay1st/payments\x0bx", b"/api/pay1st/payments\nX: y",
    b"/api/pay1st/payments\rX: y",
    b"",
)  # fmt: skip


def _targets() -> Iterator[tuple[str, Case]]:
    for target in _PASS:
        yield f"passes: {target[:80]!r}", get(_BASE + target, f"GET {(_BASE + target).decode()}")
    for target in _FORBIDDEN:
        yield f"forbidden: {target!r}", get(_BASE + target, NOT_ALLOWED)
    for target in _ELSEWHERE:
        yield f"elsewhere: {target!r}", get(target, NOT_ALLOWED)
    for target in _BEYOND_ASCII:
        yield f"beyond ASCII: {target!r}", get(_BASE + target, by_parser(c=UNREADABLE, python=NOT_ALLOWED))
    for target in _NO_TARGETS:
        yield f"none: {target[:80]!r}", get(target, UNREADABLE)
    yield "too long", get(b"/" + b"x" * 40_000, "431 bad-request close")


def _methods() -> Iterator[tuple[str, Case]]:
    path = b"/api/pay1st/payments/create"
    for method in (b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"M-SEARCH", b"PROPFIND"):
        yield f"method: {method.decode()}", Case(head(method + b" " + path + b" HTTP/1.1"), (NOT_ALLOWED,))
    yield "method: HEAD", Case(head(b"HEAD " + path + b" HTTP/1.1"), ("403 empty",))
    for method in (b"PRI", b"POSTX", b"X", b"G$T"):
        unknown = by_parser(c=UNREADABLE, python=NOT_ALLOWED)
        yield f"method: {method.decode()}", Case(head(method + b" " + path + b" HTTP/1.1"), (unknown,))
    for method in (b"get", b"Get", b"post", b"connect", b"GET\x00", b"", b"G T", "\uff27ET".encode(), b"GET\xff"):
        yield f"method: {method!r}", Case(head(method + b" " + path + b" HTTP/1.1"), (UNREADABLE,))
    for target in (b"localhost:443", b"api-gateway.carry1st.com:443", path, b"/", b"*"):
        yield f"CONNECT {target.decode()}", Case(head(b"CONNECT " + target + b" HTTP/1.1"), (NOT_ALLOWED + CLOSES,))
    yield "OPTIONS *", Case(head(b"OPTIONS * HTTP/1.1"), (NOT_ALLOWED,))
    for target in (
        b"/api/pay1st/auth/token",
        b"/api/pay1st/payments",
        b"/api/pay1st/transactions/refunds/create",
        path + b"/",
        path + b"%20",
    ):
        yield f"POST {target.decode()}", Case(head(b"POST " + target + b" HTTP/1.1"), (NOT_ALLOWED,))
    yield "POST with a query", Case(head(b"POST " + path + b"?x=1 HTTP/1.1"), (f"POST {path.decode()}?x=1",))


TARGETS: Family = dict([*_targets(), *_methods()])
