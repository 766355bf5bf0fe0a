"""`POST /oauth/token`: the client credentials grant of RFC 6749 section 4.4, for unmodified OAuth clients.

They authenticate by `client_secret_basic` or `client_secret_post` (section 2.3.1).
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self
from urllib.parse import parse_qsl, unquote_plus

from sidecar.core.errors import ErrorCode
from sidecar.core.model import Secret
from sidecar.core.process_events import Endpoint
from sidecar.credentials.caller_token import CallerTokens
from sidecar.vending.api import TokenProvider, VendedToken
from sidecar.web.api.guards import Guards, RequiredAuth
from sidecar.web.api.request_reading import read_body, refuse_query
from sidecar.web.api.token import SUSPECT, current_or_wait, with_token
from sidecar.web.responses import JSON, EndpointResult, RequestError, Response, json_response, missing_default
from sidecar.web.server.request_handler import HttpRequest

_FORM = "application/x-www-form-urlencoded"
_GRANT = "client_credentials"
_MAX_FIELDS = 32
MAX_FORM_BYTES = 8 * 1024
"""Enough for a grant type, a client id and its secret, and for fields that clients add."""


class OAuthError(RequestError):
    """A protocol error: with the members of RFC 6749 section 5.2, and those of every other problem document."""

    content_type = JSON

    def __init__(self, error: str, description: str, *, code: ErrorCode = "bad-request", status: int = 400) -> None:
        headers = {"WWW-Authenticate": 'Basic realm="token-sidecar"'} if status == 401 else {}
        super().__init__(code, description, status=status, headers=headers)
        self.also = {"error": error, "error_description": description}

    @classmethod
    def unknown_client(cls, description: str) -> Self:
        return cls("invalid_client", description, code="caller-not-allowed", status=401)

    @classmethod
    def unknown_profile(cls, description: str) -> Self:
        """No such profile. RFC 6749 leaves the status open; the other paths return 404."""
        return cls("invalid_client", description, code="unknown-profile", status=404)


class OAuthEndpoint:
    """Vends the token of the profile that `client_id` names; `default` without one."""

    endpoint: ClassVar[Endpoint] = "oauth"
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    auth: ClassVar[RequiredAuth] = RequiredAuth.CLIENT
    profile = ""

    def __init__(self, providers: Mapping[str, TokenProvider], guards: Guards) -> None:
        self._providers = providers
        self._guards = guards

    async def __call__(self, request: HttpRequest) -> EndpointResult:
        refuse_query(request)
        proxy = self._guards.knows_proxy(request)
        named = _client_of_header(request, bearer=proxy)
        if named is not None and not proxy:
            # A client that its header does not authenticate is refused before its body is read.
            self._authenticate(named)
        form = _form(await _body(request))
        client = _client_of(named, form)
        if not proxy:
            self._authenticate(client)
        provider = self._find(client, form)
        return with_token(await current_or_wait(provider), _granted, provider.profile.name)

    def _authenticate(self, client: _Client) -> None:
        """Raises `OAuthError`. It tells an unknown client nothing, not even which profiles exist."""
        tokens = self._guards.caller_tokens
        if tokens is not None and not client.is_accepted_by(tokens):
            raise OAuthError.unknown_client("Authenticate with the caller token as the client secret.")

    def _find(self, client: _Client, form: Mapping[str, str]) -> TokenProvider:
        """Return the token provider of the client's profile. Raises `OAuthError`."""
        if form.get("grant_type") != _GRANT:
            error = "unsupported_grant_type" if form.get("grant_type") else "invalid_request"
            raise OAuthError(error, f"Send grant_type={_GRANT}.")
        provider = self._providers.get(client.client_id or "default")
        if provider is None:
            raise OAuthError.unknown_profile(
                "No profile has this client_id." if client.client_id else missing_default(self._providers)
            )
        return provider


async def _body(request: HttpRequest) -> bytes:
    """Read the body. Raises `OAuthError` if it is no form, `RequestError` if it is too large."""
    try:
        return await read_body(request, _FORM, MAX_FORM_BYTES)
    except RequestError as error:
        if error.code != "bad-request":
            raise
        raise OAuthError("invalid_request", error.detail) from None


def _granted(vended: VendedToken) -> Response:
    document = {
        "access_token": vended.token.access.reveal(),
        "token_type": "Bearer",
        "expires_in": vended.expires_in_s,
    }
    return json_response(200, document, headers=SUSPECT if vended.suspect else {})


def _form(body: bytes) -> dict[str, str]:
    """Return the form's fields. Raises `OAuthError` for a field sent twice (RFC 6749 section 3.2), or for no form."""
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise OAuthError("invalid_request", "The body is not a form in UTF-8.") from None
    if any(count > 1 for count in Counter(name for name, _ in fields).values()):
        raise OAuthError("invalid_request", "Send each field once.")
    return dict(fields)


@dataclass(frozen=True, slots=True)
class _Client:
    """Client credentials. Basic secrets must be form-encoded, but many clients do not: `secrets` has both readings."""

    client_id: str
    secrets: tuple[Secret, ...]

    def is_accepted_by(self, tokens: CallerTokens) -> bool:
        return any(tokens.accept(secret.reveal()) for secret in self.secrets)


def _client_of_header(request: HttpRequest, *, bearer: bool = False) -> _Client | None:
    """Return the client of the `Authorization` header, None without one. `bearer`: ignore Bearer headers.

    Raises `OAuthError` when there are several headers, or the header is not Basic.
    """
    headers = request.headers.getall("Authorization", [])
    if bearer:
        headers = [header for header in headers if header.partition(" ")[0].lower() != "bearer"]
    if len(headers) > 1:
        raise _twice()
    return _basic(headers[0]) if headers else None


def _client_of(client: _Client | None, form: Mapping[str, str]) -> _Client:
    """Return `client`, which the header named; without one, return the client of the form.

    Raises `OAuthError` when the form has another client id, or a secret in addition to the header's.
    """
    posted = form.get("client_secret")
    if client is None:
        return _Client(form.get("client_id", ""), () if posted is None else (Secret(posted),))
    if posted is not None:
        raise _twice()
    if form.get("client_id", client.client_id) != client.client_id:
        raise OAuthError("invalid_request", "The request has two different client_id values.")
    return client


def _twice() -> OAuthError:
    return OAuthError("invalid_request", "Authenticate in one way only: by header or by form.")


def _basic(header: str) -> _Client:
    scheme, _, encoded = header.partition(" ")
    try:
        raw_id, colon, raw_secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if scheme.lower() != "basic" or not colon:
        raise OAuthError.unknown_client("Send HTTP Basic credentials, or client_id and client_secret in the form.")
    return _Client(unquote_plus(raw_id), (Secret(unquote_plus(raw_secret)), Secret(raw_secret)))
