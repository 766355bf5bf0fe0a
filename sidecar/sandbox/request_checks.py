"""Checks of the HTTP requests of token calls; each returns the status of the error, or None."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from aiohttp import web

from sidecar.core.model import Operation
from sidecar.partner.presets import Preset


def head_problem(preset: Preset, operation: Operation, request: web.Request) -> int | None:
    """Return 405 for another method or Content-Type, as documented.

    Return 400 for a refresh whose Accept differs from the documented one, or with a needless key and secret. This is
    stricter than the documentation, because such a client has a bug.
    """
    if request.method != "POST" or request.headers.get("Content-Type") != preset.content_type:
        return 405
    if operation is Operation.REFRESH:
        exact = request.headers.get("Accept") == preset.content_type and "Authorization" not in request.headers
        return None if exact else 400
    return None


async def read_body(request: web.Request) -> Mapping[str, str] | None:
    """Return the JSON object of strings in the body, or None."""
    try:
        document = json.loads(await request.read())
    except (ValueError, RecursionError, web.HTTPRequestEntityTooLarge):
        return None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        return None
    return document


def body_problem(operation: Operation, body: Mapping[str, str] | None, role: str) -> int | None:
    """Return 400 for a body without the documented fields, 401 for another role."""
    needed = {"role"} if operation is Operation.GRANT else {"role", "refreshToken"}
    if body is None or not needed <= body.keys():
        return 400
    return None if body["role"] == role else 401


def carries_pair(request: web.Request, pairs: AbstractSet[bytes]) -> bool:
    """Return whether the Authorization header is Basic with exactly one of these `key:secret`."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    try:
        sent = base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and any(hmac.compare_digest(sent, pair) for pair in pairs)
