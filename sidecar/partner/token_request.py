"""Builds the two requests that end in a token, as a partner's table describes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

from sidecar.core.model import Credentials, Secret, UtcTime
from sidecar.core.partner_table import PartnerTable, Scalar


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


def grant_request(table: PartnerTable, credentials: Credentials, role: str, assertion: Assertion) -> TokenRequest:
    """Return the request for a new token. Raises `ValueError` for a private key that cannot sign."""
    return _request(table, table.token_path, table.headers, table.fields, role, credentials, assertion)


def refresh_request(
    table: PartnerTable, refresh_token: Secret, credentials: Credentials, role: str, assertion: Assertion
) -> TokenRequest:
    """Return the request that uses a refresh token. The table has to have a `refresh_path`."""
    extra = {table.refresh_field.split(".")[-1]: refresh_token.reveal()}
    known = credentials if table.refresh_auth else None
    return _request(
        table, table.refresh_path, table.refresh_headers, table.refresh_fields, role, known, assertion, extra
    )


def _request(
    table: PartnerTable,
    path: str,
    headers: Mapping[str, str],
    fields: Mapping[str, Scalar],
    role: str,
    credentials: Credentials | None,
    assertion: Assertion,
    extra: Mapping[str, str] | None = None,
) -> TokenRequest:
    document: dict[str, Scalar] = dict(fields)
    if table.role_field:
        document[table.role_field] = role
    document |= extra or {}
    sent = dict(headers)
    secrets = list((extra or {}).values())
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

            made = client_assertion(key, credentials.api_secret, assertion.audience, assertion.jwt_id, assertion.now)
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
        key, secret = quote_plus(key), quote_plus(secret)
    # RFC 7617 leaves the charset open; only UTF-8 can encode every key.
    return base64.b64encode(f"{key}:{secret}".encode()).decode()


def _body(table: PartnerTable, document: Mapping[str, Scalar]) -> bytes:
    if table.request == "json":
        return json.dumps(document).encode()
    return urlencode({name: _text(value) for name, value in document.items()}).encode()


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
