"""Who may ask: the checks that stop SSRF, DNS rebinding and strangers, before anything else is looked at."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from aiohttp import web

from sidecar.core.model import Secret
from sidecar.web.peer import is_unix, peer_uid
from sidecar.web.refusals import GuardError

REQUIRED_HEADER = "Sidecar-Request"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_FORWARDING = frozenset({"x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:\[\]]+)(?::[0-9]{1,5})?")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="token-sidecar"'}


class Proof(Enum):
    """What a path asks of its caller, beyond the checks every request goes through."""

    HEADER = auto()
    """The required header, and the caller token where one is set."""
    CLIENT = auto()
    """OAuth client authentication where a caller token is set (checked by the endpoint), else the required header."""
    NONE = auto()
    """Nothing: the answer is public."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """`caller_token` is asked at each request; None: callers need no token. `allowed_uids` None: every uid."""

    require_header: bool = True
    caller_token: Callable[[], Secret | None] = lambda: None
    allowed_hosts: tuple[str, ...] = ()
    allowed_uids: frozenset[int] | None = None


class Guards:
    """Lets a request pass, or says what it lacks."""

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings
        self._hosts = LOOPBACK_NAMES | {host.lower() for host in settings.allowed_hosts}

    def check(self, request: web.BaseRequest, proof: Proof = Proof.HEADER) -> None:
        """Raises `GuardError` when the request must not be served."""
        self._check_uid(request)
        self._check_host(request)
        _check_direct(request)
        if proof is Proof.NONE or (proof is Proof.CLIENT and self.caller_token is not None):
            return
        self._check_header(request)
        if proof is Proof.HEADER:
            self._check_caller(request)

    @property
    def caller_token(self) -> Secret | None:
        return self._settings.caller_token()

    def _check_uid(self, request: web.BaseRequest) -> None:
        allowed = self._settings.allowed_uids
        if allowed is not None and is_unix(request) and peer_uid(request) not in allowed:
            raise GuardError("caller-not-allowed", "This user id is not in SIDECAR_ALLOWED_UIDS.")

    def _check_host(self, request: web.BaseRequest) -> None:
        """`request.host` is no basis: it falls back to the socket's address, and an absolute target overrides it."""
        hosts = request.headers.getall("Host", [])
        if is_unix(request) and len(hosts) <= 1:
            # No name leads to a unix socket, so none can be rebound; clients put anything there.
            return
        if len(hosts) != 1 or not self._allows(hosts[0].lower()):
            raise GuardError(
                "host-not-allowed", "Send exactly one Host header: a loopback name, or one of SIDECAR_ALLOWED_HOSTS."
            )

    def _allows(self, host: str) -> bool:
        parts = _HOST.fullmatch(host)
        return parts is not None and (parts[1] in self._hosts or host in self._hosts)

    def _check_header(self, request: web.BaseRequest) -> None:
        if not self._settings.require_header:
            return
        values = request.headers.getall(REQUIRED_HEADER, [])
        if [value.lower() for value in values] != ["true"]:
            raise GuardError("header-required", f"Send the header '{REQUIRED_HEADER}: true'.")

    def _check_caller(self, request: web.BaseRequest) -> None:
        expected = self.caller_token
        if expected is None:
            return
        values = request.headers.getall("Authorization", [])
        scheme, _, offered = values[0].partition(" ") if len(values) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not same(offered.strip(), expected):
            raise GuardError(
                "caller-not-allowed",
                "Send 'Authorization: Bearer' with the content of the caller token file.",
                status=401,
                headers=_CHALLENGE,
            )


def same(offered: str, expected: Secret) -> bool:
    """Compare in constant time; header text may hold bytes that are no UTF-8."""
    return hmac.compare_digest(offered.encode("utf-8", "surrogateescape"), expected.reveal().encode())


def _check_direct(request: web.BaseRequest) -> None:
    """Underscores count as dashes: some servers and proxies take one for the other."""
    for name in request.headers:
        if name.lower().replace("_", "-") in _FORWARDING:
            raise GuardError(
                "forwarded-request",
                "Call the sidecar directly: X-Forwarded-For, X-Forwarded-Host, X-Real-IP and Forwarded are refused.",
            )
