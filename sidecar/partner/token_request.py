"""Builds the two requests that end in a token, as a partner's table describes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar
from urllib.parse import quote, quote_plus, urlencode

from sidecar.core.model import Credentials, Secret, UtcTime
from sidecar.core.partner_table import Constant, PartnerTable, plain
from sidecar.partner.masking import MASK

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A POST. `secrets` are the texts in it that must not be shown; `repr` omits whatever may hold one."""

    path: str
    content_type: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What a signed assertion needs besides the credentials: the server it is for, a new id, and the time."""

    audience: str
    jwt_id: str
    now: UtcTime


def grant_request(
    table: PartnerTable, credentials: Credentials, role: str, assertion: Assertion | None
) -> TokenRequest:
    """Return the request for a new token. Without an `assertion` it has `MASK` in its place.

    Raises `ValueError` for a private key that cannot sign.
    """
    return _request(table, table.token_path, table.headers, table.fields, role, credentials, assertion)


def refresh_request(
    table: PartnerTable, refresh_token: Secret, credentials: Credentials, role: str, assertion: Assertion | None
) -> TokenRequest:
    """Return the request that uses a refresh token. The table has to have a `refresh_path`."""
    extra = {table.refresh_name: refresh_token.reveal()}
    known = credentials if table.refresh_auth else None
    return _request(
        table, table.refresh_path, table.refresh_headers, table.refresh_fields, role, known, assertion, extra
    )


def shown_requests(table: PartnerTable, role: str) -> tuple[TokenRequest, ...]:
    """Return the requests for a token as they may be shown, with `MASK` for each secret: grant, and refresh if any."""
    mask = Secret(MASK)
    credentials = Credentials(api_key=mask, api_secret=mask)
    requests = [grant_request(_masked(table), credentials, role, None)]
    if table.refresh_path:
        requests.append(refresh_request(_masked(table), mask, credentials, role, None))
    basic, encoded = f"Basic {_basic(MASK, MASK, form_encoded=table.oauth2)}", quote_plus(MASK).encode()
    return tuple(
        replace(
            request,
            headers={name: f"Basic {MASK}" if value == basic else value for name, value in request.headers.items()},
            body=request.body.replace(encoded, MASK.encode()),
        )
        for request in requests
    )


def _masked(table: PartnerTable) -> PartnerTable:
    return replace(
        table,
        fields=_without_secrets(table.fields),
        headers=_without_secrets(table.headers),
        refresh_fields=_without_secrets(table.refresh_fields),
        refresh_headers=_without_secrets(table.refresh_headers),
    )


def _without_secrets(constants: Mapping[str, T]) -> dict[str, T | str]:
    return {name: MASK if isinstance(value, Secret) else value for name, value in constants.items()}


def _request(
    table: PartnerTable,
    path: str,
    headers: Mapping[str, str | Secret],
    fields: Mapping[str, Constant],
    role: str,
    credentials: Credentials | None,
    assertion: Assertion | None,
    extra: Mapping[str, str] | None = None,
) -> TokenRequest:
    secrets = [value.reveal() for value in (*fields.values(), *headers.values()) if isinstance(value, Secret)]
    document = {name: plain(value) for name, value in fields.items()}
    if table.role_field:
        document[table.role_field] = role
    document |= extra or {}
    sent = {name: str(plain(value)) for name, value in headers.items()}
    secrets += (extra or {}).values()
    if credentials is not None:
        key, secret = credentials.api_key.reveal(), credentials.api_secret.reveal()
        secrets += [key, secret]
        if table.client_auth == "basic":
            basic = _basic(key, secret, form_encoded=table.oauth2)
            sent["Authorization"] = f"Basic {basic}"
            secrets.append(basic)
        elif table.client_auth == "private_key_jwt":
            # Imported here: others need no cryptography for their requests.
            from sidecar.partner.client_assertion import ASSERTION_TYPE, client_assertion

            made = (
                MASK
                if assertion is None
                else client_assertion(key, credentials.api_secret, assertion.audience, assertion.jwt_id, assertion.now)
            )
            document |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": made}
            secrets.append(made)
        elif table.client_auth == "body":
            document |= {table.key_field: key, table.secret_field: secret}
        else:
            sent |= {table.key_header: key, table.secret_header: secret}
        if credentials.signing_key is not None:
            secrets.append(credentials.signing_key.reveal())
    return TokenRequest(
        path=path,
        content_type=table.content_type,
        headers=sent,
        body=_body(table, document),
        secrets=tuple(secrets),
    )


def _basic(key: str, secret: str, *, form_encoded: bool) -> str:
    """Return the credentials of HTTP Basic. RFC 6749 section 2.3.1 asks for form-encoded ones, RFC 7617 does not."""
    if form_encoded:
        # A space as %20, not +: the same form to those who decode forms, and plain to those who decode only %XX.
        key, secret = quote(key, safe=""), quote(secret, safe="")
    # RFC 7617 leaves the charset open; only UTF-8 can encode every key.
    return base64.b64encode(f"{key}:{secret}".encode()).decode()


def _body(table: PartnerTable, document: Mapping[str, str | int | bool]) -> bytes:
    if table.request == "json":
        return json.dumps(document).encode()
    return urlencode({name: _text(value) for name, value in document.items()}).encode()


def _text(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
