"""Client authentication by a signed assertion, `private_key_jwt`: RFC 7523 section 2.2, in the form of RFC 7515."""

from __future__ import annotations

import base64
import json
from typing import Final

from sidecar.core.model import Seconds, Secret, UtcTime
from sidecar.credentials.private_key import algorithm, load_key, sign

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AHEAD_S: Seconds = 30
"""By how much our clock may be ahead: many servers refuse an assertion that was issued in their future."""
VALID_S: Seconds = 90
"""By how much our clock may be behind. Some servers refuse an assertion that is valid for more than five minutes, or
that was issued more than a minute ago."""


def client_assertion(client_id: str, private_key: Secret, audience: str, jwt_id: str, now: UtcTime) -> str:
    """Return an assertion that is valid once, at one server. Signed with RS256 or ES256, as the key is.

    Raises `ValueError` for a key that cannot sign.
    """
    key = load_key(private_key.reveal())
    times = {"iat": int(now - AHEAD_S), "exp": int(now + VALID_S)}
    claims = {"iss": client_id, "sub": client_id, "aud": audience, "jti": jwt_id, **times}
    head = {"alg": algorithm(key), "typ": "JWT"}
    signed = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(claims).encode())}"
    return f"{signed}.{_encoded(sign(key, signed.encode()))}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
