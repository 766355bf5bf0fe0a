"""The checks of each request before anything else: they stop SSRF, DNS rebinding and unknown callers.

The cheapest checks come first. Each returns the same error to every caller.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from sidecar.core.proxies import literal_address, names_loopback
from sidecar.credentials.caller_token import CallerTokens
from sidecar.web.api.request_reading import authority_of
from sidecar.web.responses import RequestError
from sidecar.web.server.request_handler import HttpRequest

REQUIRED_HEADER = "Sidecar-Request"
PROXY_HEADER = "Sidecar-Token"
"""The header for a proxy's caller token: the request that it forwards may have its own `Authorization`."""

_FORWARDING = re.compile(r"^(?:forwarded|via|x[-_]real[-_]ip|x[-_]forwarded.*)$", re.IGNORECASE | re.MULTILINE)
"""Underscores count as dashes: some servers and proxies treat both alike."""
_MOST_SPELLINGS, _LONGEST_SPELLING = 256, 64
_BROWSED_ALONE = frozenset({"none", "same-origin"})
"""`Sec-Fetch-Site` when a person typed the address; any other value comes from a page of another origin."""
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:\[\]]+)(?::[0-9]{1,5})?")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="token-sidecar"'}


class RequiredAuth(Enum):
    """The authentication that a path requires, in addition to the checks of every request."""

    HEADER = auto()
    """The required header, and the caller token where one is set."""
    CLIENT = auto()
    """OAuth client authentication where a caller token is set (checked by the endpoint), else the required header."""
    PROXY = auto()
    """As `HEADER`, or the caller token of a proxy that forwards its clients' requests, where proxies are served."""
    NONE = auto()
    """Nothing: the response is public."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """`caller_tokens` is called at each request; it returns None if callers need no token. `allowed_uids` None: all."""

    require_header: bool = True
    caller_tokens: Callable[[], CallerTokens | None] = lambda: None
    allowed_hosts: tuple[str, ...] = ()
    allowed_uids: frozenset[int] | None = None
    forward_auth: bool = False
    """Whether proxies are served: by `RequiredAuth.PROXY` and `CLIENT`, with a caller token or over a unix socket."""


class Guards:
    """Accepts a request, or raises an error that names what is missing."""

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings
        self._hosts = frozenset(host.lower() for host in settings.allowed_hosts)
        self._allowed: set[str] = set()
        """Hosts that passed the check, as spelled: callers send the same few each time."""

    def check(self, request: HttpRequest, auth: RequiredAuth = RequiredAuth.HEADER) -> None:
        """Raise `RequestError` when the request must not be served."""
        self._check_uid(request)
        if self._is_from_proxy(request, auth):
            if auth is RequiredAuth.PROXY and not self.knows_proxy(request):
                raise _unknown_caller(f"Send '{PROXY_HEADER}' with a line of the caller token file.")
            return
        self._check_host(request)
        _check_no_page(request)
        by_header = auth in (RequiredAuth.HEADER, RequiredAuth.PROXY)
        if by_header or (auth is RequiredAuth.CLIENT and self.caller_tokens is None):
            self._check_header(request)
        _check_direct(request)
        if by_header:
            self._check_caller(request)

    @property
    def caller_tokens(self) -> CallerTokens | None:
        return self._settings.caller_tokens()

    @property
    def serve_proxies(self) -> bool:
        return self._settings.forward_auth

    def knows_proxy(self, request: HttpRequest) -> bool:
        """Whether proxies are served, and the caller sends the caller token as proxies do, or needs none.

        `PROXY_HEADER` has precedence over `Authorization`, which may be that of the proxy's client.
        """
        tokens = self.caller_tokens
        if not self._settings.forward_auth or tokens is None:
            return self._settings.forward_auth and request.connection.peer.is_unix
        own = request.headers.getall(PROXY_HEADER, [])
        return tokens.accept(own[0].strip()) if len(own) == 1 else not own and _presents(request, tokens)

    def _is_from_proxy(self, request: HttpRequest, auth: RequiredAuth) -> bool:
        """Whether this is a proxy's request, which skips the checks of page and Host: the caller token replaces them.

        For `RequiredAuth.CLIENT` the endpoint checks the caller token.
        """
        if not self._settings.forward_auth:
            return False
        if auth is RequiredAuth.CLIENT:
            return self.caller_tokens is not None or request.connection.peer.is_unix
        if auth is not RequiredAuth.PROXY:
            return False
        return request.connection.peer.is_unix or PROXY_HEADER in request.headers or self.knows_proxy(request)

    def _check_uid(self, request: HttpRequest) -> None:
        allowed = self._settings.allowed_uids
        if allowed is None:
            return
        peer = request.connection.peer
        if peer.is_unix and peer.uid not in allowed:
            raise RequestError("caller-not-allowed", "This user id is not in SIDECAR_ALLOWED_UIDS.")

    def _check_host(self, request: HttpRequest) -> None:
        """Check `Host` itself: `request.host` falls back to the socket address, and an absolute target overrides it."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) == 1 and hosts[0] in self._allowed and request.raw_path.startswith("/"):
            return
        if len(hosts) <= 1 and request.connection.peer.is_unix:
            # No host name resolves to a unix socket, so DNS rebinding cannot reach it. Clients send any name there.
            return
        # A target with an authority names a second host (RFC 9112 section 3.2.2).
        named = [*hosts, *filter(None, [authority_of(request)])]
        if len(hosts) != 1 or not all(self._allows(host) or _is_where_it_came(request, host) for host in named):
            raise RequestError(
                "host-not-allowed", "Send exactly one Host header: a loopback name, or one of SIDECAR_ALLOWED_HOSTS."
            )

    def _allows(self, host: str) -> bool:
        if host in self._allowed:
            return True
        name = host.lower()
        parts = _HOST.fullmatch(name)
        allowed = parts is not None and (names_loopback(parts[1]) or parts[1] in self._hosts or name in self._hosts)
        if allowed and len(host) <= _LONGEST_SPELLING and len(self._allowed) < _MOST_SPELLINGS:
            self._allowed.add(host)
        return allowed

    def _check_header(self, request: HttpRequest) -> None:
        if not self._settings.require_header:
            return
        values = request.headers.getall(REQUIRED_HEADER, [])
        if [value.lower() for value in values] != ["true"]:
            raise RequestError("header-required", f"Send the header '{REQUIRED_HEADER}: true'.")

    def _check_caller(self, request: HttpRequest) -> None:
        tokens = self.caller_tokens
        if tokens is None:
            return
        if not _presents(request, tokens):
            raise _unknown_caller("Send 'Authorization: Bearer' with a line of the caller token file.")


def _is_where_it_came(request: HttpRequest, host: str) -> bool:
    """Whether the host is the IP address that the client connected to: an address cannot be rebound, a name can."""
    parts = _HOST.fullmatch(host.lower())
    address = None if parts is None else literal_address(parts[1])
    return address is not None and str(address) == request.connection.peer.local_address


def _presents(request: HttpRequest, tokens: CallerTokens) -> bool:
    values = request.headers.getall("Authorization", [])
    scheme, _, offered = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return scheme.lower() == "bearer" and tokens.accept(offered.strip())


def _unknown_caller(detail: str) -> RequestError:
    return RequestError("caller-not-allowed", detail, status=401, headers=_CHALLENGE)


def is_forwarded(request: HttpRequest) -> bool:
    """Whether a header of the request says that a proxy forwarded it."""
    # One search in all names is faster than one for each name.
    return _FORWARDING.search("\n".join(request.headers)) is not None


def _check_direct(request: HttpRequest) -> None:
    if is_forwarded(request):
        raise RequestError(
            "forwarded-request", "Call the sidecar directly: X-Forwarded-*, X-Real-IP, Forwarded and Via are refused."
        )


def _check_no_page(request: HttpRequest) -> None:
    """Refuse browser pages: a browser on this machine can reach loopback too. Our clients send neither header."""
    sites = request.headers.getall("Sec-Fetch-Site", ())
    if "Origin" in request.headers or any(site.lower() not in _BROWSED_ALONE for site in sites):
        raise RequestError(
            "caller-not-allowed", "Requests from browser pages are refused: send no Origin or Sec-Fetch-Site."
        )
