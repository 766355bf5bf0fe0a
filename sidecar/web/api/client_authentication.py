"""OAuth client authentication: `client_secret_basic` and `client_secret_post` of RFC 6749 section 2.3.1."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote_plus

from aiohttp.web_request import BaseRequest

from sidecar.core.errors import SidecarError
from sidecar.core.model import Secret
from sidecar.web.caller_tokens import CallerTokens


class OAuthError(SidecarError):
    """A protocol error of RFC 6749 section 5.2; `code` is the contract's error code for it."""

    def __init__(self, error: str, description: str, *, code: str = "bad-request", status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.code = code
        self.status = status
        self.headers = {"WWW-Authenticate": 'Basic realm="token-sidecar"'} if status == 401 else {}

    @classmethod
    def stranger(cls, description: str) -> Self:
        return cls("invalid_client", description, code="caller-not-allowed", status=401)

    @classmethod
    def nobody(cls, description: str) -> Self:
        """No such profile. RFC 6749 leaves the status open; the other paths return 404."""
        return cls("invalid_client", description, code="unknown-profile", status=404)


@dataclass(frozen=True, slots=True)
class Client:
    """Client credentials. Basic secrets must be form-encoded, but many clients do not: `secrets` has both readings."""

    client_id: str
    secrets: tuple[Secret, ...]

    def knows(self, tokens: CallerTokens) -> bool:
        return any(tokens.accept(secret.reveal()) for secret in self.secrets)


def client_of_head(request: BaseRequest, *, bearer: bool = False) -> Client | None:
    """Return the client of the `Authorization` header, None without one. `bearer`: ignore Bearer headers.

    Raises `OAuthError` when there are several headers, or the header is not Basic.
    """
    headers = request.headers.getall("Authorization", [])
    if bearer:
        headers = [header for header in headers if header.partition(" ")[0].lower() != "bearer"]
    if len(headers) > 1:
        raise _twice()
    return _basic(headers[0]) if headers else None


def client_of(client: Client | None, form: Mapping[str, str]) -> Client:
    """Return `client`, which the header named; without one, return the client of the form.

    Raises `OAuthError` when the form has another client id, or a secret in addition to the header's.
    """
    posted = form.get("client_secret")
    if client is None:
        return Client(form.get("client_id", ""), () if posted is None else (Secret(posted),))
    if posted is not None:
        raise _twice()
    if form.get("client_id", client.client_id) != client.client_id:
        raise OAuthError("invalid_request", "The request has two different client_id values.")
    return client


def _twice() -> OAuthError:
    return OAuthError("invalid_request", "Authenticate in one way only: by header or by form.")


def _basic(header: str) -> Client:
    scheme, _, encoded = header.partition(" ")
    try:
        raw_id, colon, raw_secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        colon = ""
    if scheme.lower() != "basic" or not colon:
        raise OAuthError.stranger("Send HTTP Basic credentials, or client_id and client_secret in the form.")
    return Client(unquote_plus(raw_id), (Secret(unquote_plus(raw_secret)), Secret(raw_secret)))
