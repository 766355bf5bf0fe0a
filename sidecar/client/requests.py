"""Builds the requests to the sidecar and reads its responses, without I/O: both clients send the same requests.

`repr` masks all secrets here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from urllib.parse import quote, urlsplit

from sidecar.client.caller_token import CallerToken
from sidecar.client.errors import TokenUnavailableError

DEFAULT_URL = "http://127.0.0.1:8181"
TIMEOUT_S = 60
"""Longer than a sidecar lets callers wait by default (5 s), so that SIDECAR_REQUEST_TIMEOUT_S may be larger."""
MAX_RESPONSE_BYTES = 1 << 16
"""The most bytes that are read of a response; the rest is not read."""

_UNAUTHORIZED = 401
_SCHEME = "Bearer "
_CODE = re.compile(r"[a-z][a-z-]{0,63}")
_TOKEN = re.compile("[!-~]+")


@dataclass(frozen=True, slots=True)
class SidecarRequest:
    """One request to the sidecar; `url` is absolute, `headers` and `body` may contain a secret."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class PartnerHeader:
    """The header that the partner expects, with the current token in it."""

    name: str
    value: str = field(repr=False)


class SidecarRequests:
    """Builds the requests to the sidecar at `url` for one profile (empty: `default`).

    `url` is `http://host:port` or `unix:/path`. If the sidecar requires a caller token, `caller_token_file` is a file
    such as its SIDECAR_CALLER_TOKEN_FILE. The first line is sent. The file is checked before each request, and read
    again when it changed. If the sidecar rejects a line, the next other line is tried. `caller_token` is such a line,
    or the whole content, and never changes. `timeout_s` is the longest wait for the sidecar.

    Raises `ValueError` without secrets in it when an argument cannot be used.
    """

    __slots__ = ("_base", "_caller_token", "_profile", "socket_path", "timeout_s", "url")

    def __init__(
        self,
        url: str = DEFAULT_URL,
        profile: str = "",
        caller_token: str = "",
        caller_token_file: str | PathLike[str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if not 0 < timeout_s < math.inf:
            raise ValueError("timeout_s must be a number of seconds above 0")
        self.timeout_s = timeout_s
        self.url = url
        self.socket_path = url.removeprefix("unix:") if url.startswith("unix:/") else None
        """The path of the unix socket; None: connect to the URL's host."""
        # On a unix socket the host has no meaning, but HTTP requires one.
        self._base = "http://localhost" if self.socket_path else _checked(url)
        self._profile = f"/{quote(profile, safe='')}" if profile else ""
        self._caller_token = CallerToken(caller_token, caller_token_file)

    def __repr__(self) -> str:
        return f"SidecarRequests({self.url}{self._profile})"

    def header(self) -> SidecarRequest:
        """Return the request for the header that the partner expects now."""
        return SidecarRequest("GET", f"{self._base}/v1/authorize{self._profile}", self._headers())

    def rejected(self, header: PartnerHeader) -> SidecarRequest:
        """Return the report that the partner rejected the token in this header. Apps need not read the response."""
        body = json.dumps({"accessToken": header.value.removeprefix(_SCHEME)}).encode()
        headers = {**self._headers(), "Content-Type": "application/json"}
        return SidecarRequest("POST", f"{self._base}/v1/token{self._profile}/rejected", headers, body)

    def retry(self, request: SidecarRequest, status: int) -> SidecarRequest | None:
        """Return the request with another caller token; None unless this one was rejected and there is another."""
        if status != _UNAUTHORIZED:
            return None
        rejected = request.headers.get("Authorization", "").removeprefix(_SCHEME)
        other = self._caller_token.instead_of(rejected)
        if other is None:
            return None
        return replace(request, headers=request.headers | {"Authorization": _SCHEME + other})

    def _headers(self) -> dict[str, str]:
        headers = {"Sidecar-Request": "true"}
        if caller_token := self._caller_token.current():
            headers["Authorization"] = _SCHEME + caller_token
        return headers


def partner_header(status: int, headers: Mapping[str, str], body: bytes) -> PartnerHeader:
    """Read the response to `SidecarRequests.header`. Raises `TokenUnavailableError`."""
    # The header's name depends on the partner; the format of the value is the same for all.
    found = next((PartnerHeader(*field) for field in headers.items() if _holds_token(field[1])), None)
    if status != 200 or found is None:
        raise _unavailable(status, body)
    return found


def check_reported(status: int, body: bytes) -> None:
    """Read the response to `SidecarRequests.rejected`. Raises `TokenUnavailableError`."""
    if status != 202:
        raise _unavailable(status, body)


def _holds_token(value: str) -> bool:
    return value.startswith(_SCHEME) and _TOKEN.fullmatch(value.removeprefix(_SCHEME)) is not None


def _unavailable(status: int, body: bytes) -> TokenUnavailableError:
    """Return the error for a problem document (RFC 9457), without its texts: any server may have responded."""
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        problem = None
    if not isinstance(problem, dict) or not _CODE.fullmatch(str(problem.get("code"))):
        return TokenUnavailableError(status)
    wait_s = problem.get("retryAfter")
    return TokenUnavailableError(status, str(problem["code"]), wait_s if type(wait_s) is int else None)


def _checked(url: str) -> str:
    """Return the URL without a slash at its end. Raises `ValueError`."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "http" and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    # A user name or password would be a secret in every repr and error, and a sidecar does not use them.
    if not usable or parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("the sidecar's URL must be http://host:port or unix:/path") from None
    return url.rstrip("/")
