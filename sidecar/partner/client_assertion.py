"""Client authentication by a signed assertion, `private_key_jwt`: RFC 7523 section 2.2, in the form of RFC 7515."""

from __future__ import annotations

import base64
import json
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sidecar.core.model import Seconds, Secret, UtcTime

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
VALID_S: Seconds = 120
"""Long enough for clocks that differ by a minute: servers refuse an assertion from the future or the past."""
_ES256_BYTES = 32


def client_assertion(client_id: str, private_key: Secret, audience: str, jwt_id: str, now: UtcTime) -> str:
    """Return an assertion that is valid once, at one server. Signed with RS256 or ES256, as the key is.

    Raises `ValueError` for a key that cannot sign.
    """
    key = load_pem_private_key(private_key.reveal().encode(), password=None)
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    issued_at = int(now)
    times = {"iat": issued_at, "exp": issued_at + int(VALID_S)}
    claims = {"iss": client_id, "sub": client_id, "aud": audience, "jti": jwt_id, **times}
    head = {"alg": "RS256" if is_rsa else "ES256", "typ": "JWT"}
    signed = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(claims).encode())}"
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(signed.encode(), padding.PKCS1v15(), SHA256())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
        signature = r.to_bytes(_ES256_BYTES, "big") + s.to_bytes(_ES256_BYTES, "big")
    else:
        raise ValueError("neither RSA nor EC")  # noqa: TRY004 - as for every other key that cannot sign
    return f"{signed}.{_encoded(signature)}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
