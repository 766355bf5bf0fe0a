"""Reads and checks a token request as strictly as a partner's table describes it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_plus

from aiohttp import web

from sidecar.core.model import Operation
from sidecar.core.partner_table import Constant, PartnerTable, plain
from sidecar.sandbox.assertions import ASSERTION_FIELDS, ASSERTION_TYPE

MAX_TOKEN_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """What varies in a token request. `credentials` is `key:secret`, None where the table asks for none."""

    role: str
    credentials: bytes | None = field(repr=False)
    refresh_token: str = field(repr=False)


async def operation_of(table: PartnerTable, path: str, request: web.Request) -> Operation:
    """Return the operation of a request to one of the two token paths.

    Where both are one path, a request with the refresh token's field is a refresh.
    """
    if table.refresh_path != table.token_path:
        return Operation.REFRESH if path == table.refresh_path else Operation.GRANT
    document = _document(table, await request.read()) or {}
    return Operation.REFRESH if table.refresh_name in document else Operation.GRANT


def head_problem(table: PartnerTable, operation: Operation, request: web.Request) -> int | None:
    """Return 405 for another method or Content-Type, as documented, else None for a valid head.

    Return 400 for a header of the table that differs, or for key and secret in a header where none are asked for. This
    is stricter than the documentation of pay1st, because such a client has a bug.
    """
    if request.method != "POST" or request.headers.get("Content-Type") != table.content_type:
        return 405
    constant = table.refresh_headers if operation is Operation.REFRESH else table.headers
    exact = all(request.headers.getall(name, []) == [plain(value)] for name, value in constant.items())
    asked = {name.lower() for name in constant}
    if _asks_for_credentials(table, operation):
        asked |= {"authorization"} if table.client_auth == "basic" else _credential_headers(table)
    needless = any(name in request.headers for name in ({"authorization"} | _credential_headers(table)) - asked)
    return 400 if needless or not exact else None


async def read_token_request(
    table: PartnerTable, operation: Operation, request: web.Request, assertion: Callable[[str], bytes]
) -> SentRequest | None:
    """Return what varies in the request; None when it has not exactly the fields and headers of the table.

    `assertion` returns the credentials that a signed assertion was made with.
    """
    document = _document(table, await request.read())
    if document is None:
        return None
    is_refresh = operation is Operation.REFRESH
    constant = table.refresh_fields if is_refresh else table.fields
    in_body = _credential_fields(table) if _asks_for_credentials(table, operation) else ()
    refresh_field = table.refresh_name if is_refresh else ""
    varying = [name for name in (table.role_field, *in_body, refresh_field) if name]
    if document.keys() != {*constant, *varying}:
        return None
    if not all(_is_as_sent(table, document[name], value) for name, value in constant.items()):
        return None
    if not all(isinstance(document[name], str) for name in varying):
        return None
    return SentRequest(
        role=str(document.get(table.role_field, "")),
        credentials=_credentials(table, request, document, assertion)
        if _asks_for_credentials(table, operation)
        else None,
        refresh_token=str(document.get(refresh_field, "")),
    )


def _asks_for_credentials(table: PartnerTable, operation: Operation) -> bool:
    return operation is Operation.GRANT or table.refresh_auth


def _credential_fields(table: PartnerTable) -> tuple[str, ...]:
    return ASSERTION_FIELDS if table.client_auth == "private_key_jwt" else (table.key_field, table.secret_field)


def _credential_headers(table: PartnerTable) -> set[str]:
    return {name.lower() for name in (table.key_header, table.secret_header) if name}


def _document(table: PartnerTable, content: bytes) -> Mapping[str, object] | None:
    if len(content) > MAX_TOKEN_BODY_BYTES:
        return None
    try:
        if table.request == "form":
            pairs = parse_qsl(content.decode(), keep_blank_values=True, strict_parsing=True) if content else []
            return dict(pairs) if len(dict(pairs)) == len(pairs) else None
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _is_as_sent(table: PartnerTable, sent: object, value: Constant) -> bool:
    """Whether a field has the table's constant, in the same type: a form has texts only."""
    expected = plain(value)
    if table.request == "form" and not isinstance(expected, str):
        expected = json.dumps(expected)
    return type(sent) is type(expected) and sent == expected


def _credentials(
    table: PartnerTable, request: web.Request, document: Mapping[str, object], assertion: Callable[[str], bytes]
) -> bytes:
    """Return `key:secret` as they were sent; a text that nobody's are where they are missing or malformed."""
    if table.client_auth == "private_key_jwt":
        kind, made = (str(document[name]) for name in ASSERTION_FIELDS)
        return assertion(made) if kind == ASSERTION_TYPE else b""
    if table.client_auth == "body":
        return _pair(str(document[table.key_field]), str(document[table.secret_field]))
    if table.client_auth == "header":
        key, secret = (request.headers.getall(name, []) for name in (table.key_header, table.secret_header))
        return _pair(key[0], secret[0]) if len(key) == len(secret) == 1 else b""
    values = request.headers.getall("Authorization", [])
    scheme, _, encoded = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    try:
        sent = base64.b64decode(encoded, validate=True)
        if table.oauth2:
            # The encoding leaves no other colon than the one between both.
            sent_key, sent_secret = sent.decode().split(":")
            sent = _pair(unquote_plus(sent_key), unquote_plus(sent_secret))
    except (binascii.Error, ValueError):
        return b""
    return sent if scheme.lower() == "basic" else b""


def _pair(key: str, secret: str) -> bytes:
    # Header bytes that are not UTF-8 and halves of surrogate pairs in JSON equal no credentials.
    return f"{key}:{secret}".encode(errors="surrogatepass")
