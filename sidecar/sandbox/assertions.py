"""Checks a client's signed assertion (RFC 7523 section 3) as strictly as a server may."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

from sidecar.core.model import Seconds, UtcTime

ASSERTION_FIELDS = ("client_assertion_type", "client_assertion")
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LONGEST_S: Seconds = 300
_SKEW_S: Seconds = 60


class Assertions:
    """Accepts each assertion once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def credentials_of(self, assertion: str, accepted: Iterable[bytes], audience: str, now: UtcTime) -> bytes:
        """Return the accepted `key:private key` that the assertion was made with, or nothing if it does not hold."""
        try:
            signed, _, signature = assertion.rpartition(".")
            head, claims = (json.loads(_decoded(part)) for part in signed.split("."))
            found = next(pair for pair in accepted if _is_signed(pair, signed, _decoded(signature), head["alg"]))
            client = found.partition(b":")[0].decode()
            holds = (
                claims["iss"] == claims["sub"] == client
                and claims["aud"] == audience
                and now - _SKEW_S < claims["exp"] <= claims["iat"] + _LONGEST_S
                and claims["iat"] <= now + _SKEW_S
                and claims["jti"] not in self._seen
            )
            if holds:
                self._seen.add(claims["jti"])
        except (ValueError, KeyError, TypeError, StopIteration):
            return b""
        return found if holds else b""


def _is_signed(pair: bytes, signed: str, signature: bytes, algorithm: str) -> bool:
    # Imported here: other partners need no cryptography.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pair.partition(b":")[2], password=None)
    try:
        if isinstance(key, rsa.RSAPrivateKey) and algorithm == "RS256":
            key.public_key().verify(signature, signed.encode(), padding.PKCS1v15(), SHA256())
            return True
        if isinstance(key, ec.EllipticCurvePrivateKey) and algorithm == "ES256":
            r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
            key.public_key().verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(SHA256()))
            return True
    except InvalidSignature:
        pass
    return False


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
