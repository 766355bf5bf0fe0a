"""Which headers pass the gateway, in each direction (RFC 9110 section 7.6)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

VIA = "1.1 token-sidecar"
"""RFC 9110 section 7.6.3 asks a gateway for it. A sidecar refuses requests that have one, so no loop can arise."""

_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
     "proxy-authenticate", "proxy-authorization", "proxy-authentication-info")
)  # fmt: skip
"""Between two neighbours alone: RFC 9110 section 7.6.1, RFC 9112, and what older clients send."""
_NOT_FORWARDED = frozenset(
    ("host", "content-length", "expect", "authorization", "origin", "via", "forwarded", "x-real-ip")
)
"""Written anew, answered by the sidecar, a secret that no app needs to send, or read by the guards."""
_NO_DASH = re.compile("[^a-z0-9-]")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_GUARDS = ("sidecar-", "sec-fetch-", "x-forwarded-")
_OVERRIDES = ("x-http-method", "x-method-override", "x-original-", "x-rewrite-")
"""Some servers take method or path from these: the request would become another one than the allow list saw."""
_MARKS = frozenset(
    ("sidecar-answer", "sidecar-attempts", "sidecar-token", "token-id", "token-suspect", "content-length")
)
"""Of a response: what only the sidecar says, and what is written anew."""


def for_partner(headers: Iterable[tuple[str, str]], ours: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the app's headers that the partner gets. `ours` (as `as_read`) are set here: token and signature.

    Names are compared as `as_read`: otherwise some servers would read an app's value for ours.
    """
    headers = list(headers)
    dropped = _HOP_BY_HOP | _NOT_FORWARDED | ours | _nominated(headers)
    for name, value in headers:
        low = as_read(name)
        if low not in dropped and not low.startswith(_GUARDS + _OVERRIDES):
            yield name, value


def spelled_alike(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the headers; a name that comes again gets the letters that it had first.

    aiohttp's client sends only the last of two headers whose names differ in the case of letters.
    """
    spelled: dict[str, str] = {}
    for name, value in headers:
        yield spelled.setdefault(name.lower(), name), value


def for_app(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the partner's headers that the app gets.

    White space between name and colon is removed (RFC 9112 section 5.1), which aiohttp's client accepts in some names:
    servers and clients differ in how they read them. Names that are still none are dropped.
    """
    stripped = [(name.rstrip(b" \t"), value) for name, value in headers]
    fields = [field for field in stripped if _TOKEN.fullmatch(field[0])]
    texts = [(name.decode("ascii"), value.decode("latin-1")) for name, value in fields]
    dropped = _HOP_BY_HOP | _MARKS | _nominated(texts)
    return (field for field, (name, _) in zip(fields, texts, strict=True) if as_read(name) not in dropped)


def as_read(name: str) -> str:
    """Return the name as servers read it that make variables of names: anything but letters and digits is a dash."""
    return _NO_DASH.sub("-", name.lower())


def _nominated(headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Return the further headers that `Connection` declares to be hop-by-hop."""
    return frozenset(
        as_read(option.strip())
        for name, value in headers
        if name.lower() == "connection"
        for option in value.split(",")
    )
