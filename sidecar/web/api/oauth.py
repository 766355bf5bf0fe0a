"""`POST /oauth/token`: the client credentials grant of RFC 6749 section 4.4, for unmodified OAuth clients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import parse_qsl

from aiohttp.web_request import BaseRequest

from sidecar.core.request_events import Endpoint
from sidecar.vending.api import TokenProvider, VendedToken
from sidecar.web.api.client_authentication import Client, OAuthError, client_of, client_of_head
from sidecar.web.api.guards import Guards, RequiredAuth
from sidecar.web.api.negotiation import refuse_query
from sidecar.web.api.request_body import read_body
from sidecar.web.api.target import path_and_query
from sidecar.web.api.token import SUSPECT, current_or_wait, with_token
from sidecar.web.problems import problem
from sidecar.web.refusals import RequestError, missing_default
from sidecar.web.responses import JSON, EndpointResult, Response, json_response

_FORM = "application/x-www-form-urlencoded"
_GRANT = "client_credentials"
_MAX_FIELDS = 32
MAX_FORM_BYTES = 8 * 1024
"""Enough for a grant type, a client id and its secret, and for fields that clients add."""


class OAuthEndpoint:
    """Vends the token of the profile that `client_id` names; `default` without one."""

    endpoint: ClassVar[Endpoint] = "oauth"
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    proof: ClassVar[RequiredAuth] = RequiredAuth.CLIENT
    profile = ""

    def __init__(self, vendors: Mapping[str, TokenProvider], guards: Guards) -> None:
        self._vendors = vendors
        self._guards = guards

    async def __call__(self, request: BaseRequest) -> EndpointResult:
        refuse_query(path_and_query(request)[1])
        try:
            proxy = self._guards.knows_proxy(request)
            named = client_of_head(request, bearer=proxy)
            if named is not None and not proxy:
                # A client that its header does not authenticate is refused before its body is read.
                self._authenticate(named)
            form = _form(await _body(request))
            client = client_of(named, form)
            if not proxy:
                self._authenticate(client)
            vendor = self._find(client, form)
        except OAuthError as error:
            return EndpointResult(error.code, _refusal(error))
        return await _grant(vendor)

    def _authenticate(self, client: Client) -> None:
        """Raises `OAuthError`. It tells an unknown client nothing, not even which profiles exist."""
        tokens = self._guards.caller_tokens
        if tokens is not None and not client.knows(tokens):
            raise OAuthError.stranger("Authenticate with the caller token as the client secret.")

    def _find(self, client: Client, form: Mapping[str, str]) -> TokenProvider:
        """Return the token provider of the client's profile. Raises `OAuthError`."""
        if form.get("grant_type") != _GRANT:
            error = "unsupported_grant_type" if form.get("grant_type") else "invalid_request"
            raise OAuthError(error, f"Send grant_type={_GRANT}.")
        vendor = self._vendors.get(client.client_id or "default")
        if vendor is None:
            raise OAuthError.nobody(
                "No profile has this client_id." if client.client_id else missing_default(self._vendors)
            )
        return vendor


def _refusal(error: OAuthError) -> Response:
    """Return the error with the members of RFC 6749 for OAuth clients, and those of every other problem document."""
    return problem(
        error.code,
        error.description,
        status=error.status,
        headers=error.headers,
        also={"error": error.error, "error_description": error.description},
        content_type=JSON,
    )


async def _body(request: BaseRequest) -> bytes:
    """Read the body. Raises `OAuthError` if it is no form, `RequestError` if it is too large."""
    try:
        return await read_body(request, _FORM, MAX_FORM_BYTES)
    except RequestError as error:
        if error.code != "bad-request":
            raise
        raise OAuthError("invalid_request", error.detail) from None


async def _grant(vendor: TokenProvider) -> EndpointResult:
    return with_token(await current_or_wait(vendor), _granted, vendor.profile.name)


def _granted(vended: VendedToken) -> Response:
    document = {
        "access_token": vended.token.access.reveal(),
        "token_type": "Bearer",
        "expires_in": vended.expires_in_s,
    }
    return json_response(200, document, headers=SUSPECT if vended.suspect else None)


def _form(body: bytes) -> dict[str, str]:
    """Return the form's fields. Raises `OAuthError` for a field sent twice (RFC 6749 section 3.2), or for no form."""
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise OAuthError("invalid_request", "The body is not a form in UTF-8.") from None
    if any(count > 1 for count in Counter(name for name, _ in fields).values()):
        raise OAuthError("invalid_request", "Send each field once.")
    return dict(fields)
