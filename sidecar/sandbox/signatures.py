"""Checks the signature of a request as the partner documents it."""

from __future__ import annotations

import hmac
from datetime import datetime

from aiohttp import web

from sidecar.core.model import Seconds, Secret, UtcTime
from sidecar.core.signing import SigningRecipe, signature_of
from sidecar.sandbox.journal import SignatureState
from sidecar.sandbox.state import SandboxState


def signature_state(
    state: SandboxState,
    recipe: SigningRecipe | None,
    request: web.Request,
    body: bytes,
    token_age_s: Seconds | None,
) -> SignatureState:
    """Check the signature over these bytes, then the timestamp. `token_age_s`: None for a token that was not issued."""
    if state.signing_key is None or recipe is None:
        return "unchecked"
    if recipe.timestamp_header not in request.headers and recipe.signature_header not in request.headers:
        return "missing"
    timestamp, signature = only_header(request, recipe.timestamp_header), only_header(request, recipe.signature_header)
    if not _holds(recipe, state.signing_key, timestamp, signature, body):
        return "wrong"
    return "valid" if _is_timely(state, timestamp, token_age_s) else "stale"


def only_header(request: web.Request, name: str) -> str:
    """Return the header's value, or an empty text if it is missing or repeated."""
    values = request.headers.getall(name, [])
    return values[0] if len(values) == 1 else ""


def _holds(recipe: SigningRecipe, key: Secret, timestamp: str, signature: str, body: bytes) -> bool:
    # Header bytes that are not ASCII have no one text.
    if not timestamp.isascii() or not signature.isascii():
        return False
    return hmac.compare_digest(signature, signature_of(recipe, key, timestamp, body))


def _is_timely(state: SandboxState, timestamp: str, token_age_s: Seconds | None) -> bool:
    signed_at = _instant(timestamp)
    age_s = 0 if state.config.timestamp_of == "request" else token_age_s
    if signed_at is None or age_s is None:
        return False
    return abs(state.partner_time() - age_s - signed_at) <= state.config.timestamp_tolerance_s


def _instant(timestamp: str) -> UtcTime | None:
    """Return the instant of an ISO-8601 text with a time zone, or None."""
    try:
        at = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return None if at.tzinfo is None else at.timestamp()
