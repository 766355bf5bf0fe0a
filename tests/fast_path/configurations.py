"""The configurations of a listener that affect the fast path, with the clients and the requests of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sidecar.web.api.guards import GuardSettings
from tests.fast_path.requests import (
    DROPPED_LINES,
    HOST,
    REQUIRED,
    SIMILAR_LINES,
    TRACEPARENTS,
    USUAL,
    known_requests,
    other_requests,
    request,
)
from tests.fast_path.transport import TcpPeer, UnixPeer

CALLER_TOKENS = ("caller-token-one", "caller-token-two")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """`known`: requests that the fast path answers to the first client; `other`: requests that it does not."""

    known: Sequence[bytes]
    other: Sequence[bytes]
    lines: Sequence[bytes] = (*DROPPED_LINES, *SIMILAR_LINES)
    """Header lines that steps add to requests."""
    peers: Sequence[TcpPeer | UnixPeer] = (TcpPeer(50_000), TcpPeer(50_001), TcpPeer(50_002, "10.0.0.5"))
    guards: GuardSettings = field(default_factory=GuardSettings)
    caller_tokens: Sequence[str] = ()
    audit: bool = False
    spans: bool = False


def usual(**changes: object) -> Configuration:
    return Configuration(known=known_requests(USUAL), other=_other(), **changes)  # type: ignore[arg-type]  # its fields


def _other() -> tuple[bytes, ...]:
    """Return other requests, with those that are served on only one address or one transport."""
    return (
        *other_requests(USUAL),
        request(b"/v1/token", b"Host: 10.0.0.5", REQUIRED),
        request(b"http://10.0.0.5/v1/token", b"Host: 10.0.0.5:8181", REQUIRED),
    )


def _with_caller_tokens() -> Configuration:
    first, second = (b"Authorization: Bearer " + token.encode() for token in CALLER_TOKENS)
    unknown = b"Authorization: Bearer unknown-caller-token"
    lines = (*USUAL, first)
    return Configuration(
        known=(*known_requests(lines), *known_requests((*USUAL, second))[:3]),
        other=(
            *other_requests(lines),
            *known_requests(USUAL)[:4],
            *known_requests((*USUAL, unknown))[:4],
            request(b"/v1/token", *lines, first),
            request(b"/v1/token", *USUAL, b"Sidecar-Token: " + CALLER_TOKENS[0].encode()),
        ),
        caller_tokens=CALLER_TOKENS,
        audit=True,
    )


def _with_forward_auth() -> Configuration:
    """The requests of a proxy: with a caller token, and with headers of its own clients."""
    token = b"Sidecar-Token: " + CALLER_TOKENS[0].encode()
    foreign = (b"Host: app.example", token, b"X-Forwarded-For: 10.1.2.3", b"Authorization: Basic eDp5")
    usual_lines = (*USUAL, b"Authorization: Bearer " + CALLER_TOKENS[0].encode())
    return Configuration(
        known=(
            request(b"/v1/authorize", *foreign),
            request(b"/v1/authorize/other", *foreign),
            request(b"/v1/authorize/other/any/path", *foreign, b"Via: 1.1 proxy"),
            request(b"/v1/authorize", *foreign, b"Origin: https://app.example", b"Connection: close"),
            request(b"/v1/authorize", HOST, token),
            *known_requests(usual_lines)[:5],
        ),
        other=(
            *other_requests(foreign),
            request(b"/v1/token", *foreign),
            request(b"/v1/authorize/other/any/path?min_ttl=5", *foreign),
            request(b"/v1/authorize", *foreign, token),
            request(b"/v1/authorize", *foreign, b"Sidecar-Token: unknown-caller-token"),
            request(b"/v1/authorize", b"Host: app.example", b"Sidecar-Token: unknown-caller-token"),
            request(b"/v1/authorize", b"Host: app.example", REQUIRED),
            request(b"/v1/authorize", *foreign, method=b"DELETE"),
        ),
        peers=(TcpPeer(50_000), UnixPeer(1000), TcpPeer(50_002, "10.0.0.5")),
        guards=GuardSettings(forward_auth=True),
        caller_tokens=CALLER_TOKENS,
    )


def _with_forward_auth_by_transport() -> Configuration:
    """Without caller tokens, a proxy is served only over a unix socket."""
    foreign = (b"Host: app.example", b"X-Forwarded-For: 10.1.2.3")
    return Configuration(
        known=(
            request(b"/v1/authorize", *foreign),
            request(b"/v1/authorize/other/any/path", *foreign),
            request(b"/v1/token", REQUIRED, b"Host: app.example"),
            *known_requests(USUAL)[:5],
        ),
        other=(*other_requests(foreign), *_other()[-2:]),
        peers=(UnixPeer(1000), TcpPeer(50_001), UnixPeer(1001)),
        guards=GuardSettings(forward_auth=True),
    )


CONFIGURATIONS = {
    "plain": usual(),
    "caller tokens": _with_caller_tokens(),
    "allowed uids": usual(
        peers=(UnixPeer(1000), UnixPeer(2000), TcpPeer(50_002), UnixPeer(1001)),
        guards=GuardSettings(allowed_uids=frozenset({1000, 1001})),
        audit=True,
    ),
    "audit": usual(audit=True, peers=(TcpPeer(50_000), TcpPeer(50_001, "::1"), UnixPeer(0))),
    "spans": usual(spans=True, lines=TRACEPARENTS),
    "audit and spans": usual(audit=True, spans=True, lines=(*TRACEPARENTS, *DROPPED_LINES)),
    "added lines": usual(lines=SIMILAR_LINES),
    "forward auth": _with_forward_auth(),
    "forward auth by transport": _with_forward_auth_by_transport(),
}
