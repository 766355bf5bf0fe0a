"""Builds the requests to the sidecar and reads its responses, without I/O: both clients send the same requests.

`repr` masks all secrets here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
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
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile("[!-~]([ -~]*[!-~])?")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")
_WITH_SCHEME = re.compile("([!-~]+ )?[!-~]+")
_NAMING = "token-header"


@dataclass(frozen=True, slots=True)
class SidecarRequest:
    """One request to the sidecar; `url` is absolute, `headers` and `body` may contain a secret.

    `signs`: the response is that of /v1/sign.
    """

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    signs: bool = False


@dataclass(frozen=True, slots=True)
class PartnerHeader:
    """A header that the partner expects."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PartnerHeaders:
    """The headers that the partner expects for one request, all from one response of the sidecar."""

    token: PartnerHeader
    signature: tuple[PartnerHeader, ...] = ()
    """Signature and timestamp; empty for a request that is not signed."""

    def __iter__(self) -> Iterator[PartnerHeader]:
        return iter((self.token, *self.signature))


class SidecarRequests:
    """Builds the requests to the sidecar at `url` for one profile (empty: `default`).

    `url` is `http://host:port` or `unix:/path`. If the sidecar requires a caller token, `caller_token_file` is a file
    such as its SIDECAR_CALLER_TOKEN_FILE. The first line is sent. The file is checked before each request, and read
    again when it changed. If the sidecar rejects a line, the next other line is tried. `caller_token` is such a line,
    or the whole content, and never changes. `timeout_s` is the longest wait for the sidecar.

    With `sign` the sidecar signs each request that has a body or may change something: all but GET, HEAD, OPTIONS and
    TRACE without a body.

    Raises `ValueError` without secrets in it when an argument cannot be used.
    """

    __slots__ = ("_base", "_caller_token", "_profile", "sign", "socket_path", "timeout_s", "url")

    def __init__(
        self,
        url: str = DEFAULT_URL,
        profile: str = "",
        caller_token: str = "",
        caller_token_file: str | PathLike[str] | None = None,
        timeout_s: float = TIMEOUT_S,
        *,
        sign: bool = False,
    ) -> None:
        if not 0 < timeout_s < math.inf:
            raise ValueError("timeout_s must be a number of seconds above 0")
        self.timeout_s = timeout_s
        self.sign = sign
        self.url = url
        self.socket_path = url.removeprefix("unix:") if url.startswith("unix:/") else None
        """The path of the unix socket; None: connect to the URL's host."""
        # On a unix socket the host has no meaning, but HTTP requires one.
        self._base = "http://localhost" if self.socket_path else _checked(url)
        self._profile = f"/{quote(profile, safe='')}" if profile else ""
        self._caller_token = CallerToken(caller_token, caller_token_file)

    def __repr__(self) -> str:
        return f"SidecarRequests({self.url}{self._profile})"

    def headers(self, method: str, body: bytes = b"") -> SidecarRequest:
        """Return the request for the headers that the partner expects now with this method and exactly this body."""
        if not self.sign or (method in _SAFE_METHODS and not body):
            return SidecarRequest("GET", f"{self._base}/v1/authorize{self._profile}", self._headers())
        headers = {**self._headers(), "Content-Type": "application/octet-stream"}
        return SidecarRequest("POST", f"{self._base}/v1/sign{self._profile}", headers, body, signs=True)

    def rejected(self, header: PartnerHeader) -> SidecarRequest:
        """Return the report that the partner rejected the token in this header. Apps need not read the response."""
        body = json.dumps({"accessToken": header.value.rpartition(" ")[2]}).encode()
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


def partner_headers(request: SidecarRequest, status: int, headers: Mapping[str, str], body: bytes) -> PartnerHeaders:
    """Read the response to this request of `SidecarRequests.headers`. Raises `TokenUnavailableError`."""
    # The sidecar names the header with the token where its value does not begin with "Bearer ".
    named = next((value.lower() for name, value in headers.items() if name.lower() == _NAMING), None)
    found = _signed(body, named) if request.signs else _with_token(headers.items(), named)
    if status != 200 or found is None:
        raise _unavailable(status, body)
    return found


def check_reported(status: int, body: bytes) -> None:
    """Read the response to `SidecarRequests.rejected`. Raises `TokenUnavailableError`."""
    if status != 202:
        raise _unavailable(status, body)


def _signed(body: bytes, named: str | None) -> PartnerHeaders | None:
    """Return the headers in a response of /v1/sign; None without a token or a signature, or if one is malformed."""
    given = _document(body).get("headers")
    if not isinstance(given, dict) or not all(_is_header(name, value) for name, value in given.items()):
        return None
    found = _with_token(given.items(), named)
    if found is None:
        return None
    others = (PartnerHeader(name, value) for name, value in given.items() if name != found.token.name)
    signed = replace(found, signature=tuple(others))
    return signed if signed.signature else None


def _with_token(headers: Iterable[tuple[str, str]], named: str | None) -> PartnerHeaders | None:
    # The header's name depends on the partner.
    fields = (PartnerHeader(*header) for header in headers)
    return next((PartnerHeaders(field) for field in fields if _holds_token(field, named)), None)


def _holds_token(field: PartnerHeader, named: str | None) -> bool:
    if named is not None:
        return field.name.lower() == named and _WITH_SCHEME.fullmatch(field.value) is not None
    return field.value.startswith(_SCHEME) and _TOKEN.fullmatch(field.value.removeprefix(_SCHEME)) is not None


def _is_header(name: str, value: object) -> bool:
    return _NAME.fullmatch(name) is not None and isinstance(value, str) and _VALUE.fullmatch(value) is not None


def _unavailable(status: int, body: bytes) -> TokenUnavailableError:
    """Return the error for a problem document (RFC 9457), without its texts: any server may have responded."""
    problem = _document(body)
    if not _CODE.fullmatch(str(problem.get("code"))):
        return TokenUnavailableError(status)
    wait_s = problem.get("retryAfter")
    return TokenUnavailableError(status, str(problem["code"]), wait_s if type(wait_s) is int else None)


def _document(body: bytes) -> dict[str, object]:
    """Return the JSON object; empty if it is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


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
