"""Reads and checks a token request as strictly as a partner's table describes it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_plus

from aiohttp import web

from sidecar.core.model import Operation
from sidecar.core.partner_table import PartnerTable, Scalar

MAX_TOKEN_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """What varies in a token request. `credentials` is `key:secret`, None where the table asks for none."""

    role: str
    credentials: bytes | None = field(repr=False)
    refresh_token: str = field(repr=False)


def head_problem(table: PartnerTable, operation: Operation, request: web.Request) -> int | None:
    """Return 405 for another method or Content-Type, as documented, else None for a valid head.

    Return 400 for a header of the table that differs, or for key and secret where none are asked for. This is stricter
    than the documentation of pay1st, because such a client has a bug.
    """
    if request.method != "POST" or request.headers.get("Content-Type") != table.content_type:
        return 405
    is_refresh = operation is Operation.REFRESH
    constant = table.refresh_headers if is_refresh else table.headers
    exact = all(request.headers.getall(name, []) == [value] for name, value in constant.items())
    needless = not _asks_for_credentials(table, operation) and "Authorization" in request.headers
    return 400 if needless or not exact else None


async def read_token_request(table: PartnerTable, operation: Operation, request: web.Request) -> SentRequest | None:
    """Return what varies in the request; None when it has not exactly the fields and headers of the table."""
    document = _document(table, await request.read())
    if document is None:
        return None
    is_refresh = operation is Operation.REFRESH
    constant = table.refresh_fields if is_refresh else table.fields
    in_body = (table.key_field, table.secret_field) if _asks_for_credentials(table, operation) else ()
    refresh_field = table.refresh_field.split(".")[-1] if is_refresh else ""
    names = [name for name in (*constant, table.role_field, *in_body, refresh_field) if name]
    if document.keys() != set(names) or any(document[name] != _as_sent(table, constant[name]) for name in constant):
        return None
    varying = [document[name] for name in names if name not in constant]
    credentials = _credentials(table, request, document) if _asks_for_credentials(table, operation) else None
    if not all(isinstance(value, str) for value in varying):
        return None
    return SentRequest(
        role=str(document.get(table.role_field, "")),
        credentials=credentials,
        refresh_token=str(document.get(refresh_field, "")),
    )


def _asks_for_credentials(table: PartnerTable, operation: Operation) -> bool:
    return operation is Operation.GRANT or table.refresh_auth


def _document(table: PartnerTable, content: bytes) -> Mapping[str, object] | None:
    if len(content) > MAX_TOKEN_BODY_BYTES:
        return None
    try:
        if table.request == "form":
            pairs = parse_qsl(content.decode(), keep_blank_values=True, strict_parsing=True)
            return dict(pairs) if len(dict(pairs)) == len(pairs) else None
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _as_sent(table: PartnerTable, value: Scalar) -> Scalar:
    """Return a constant as the body has it: a form has texts only."""
    if table.request == "json" or isinstance(value, str):
        return value
    return json.dumps(value)


def _credentials(table: PartnerTable, request: web.Request, document: Mapping[str, object]) -> bytes:
    """Return `key:secret` as they were sent; a text that nobody's are where they are missing or malformed."""
    if table.client_auth == "body":
        return f"{document[table.key_field]}:{document[table.secret_field]}".encode()
    if table.client_auth == "header":
        key, secret = (request.headers.getall(name, []) for name in (table.key_header, table.secret_header))
        return f"{key[0]}:{secret[0]}".encode() if len(key) == len(secret) == 1 else b""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        sent = base64.b64decode(encoded, validate=True)
        if table.oauth2:
            sent = b":".join(unquote_plus(part.decode()).encode() for part in sent.split(b":"))
    except (binascii.Error, ValueError):
        return b""
    return sent if scheme.lower() == "basic" else b""
