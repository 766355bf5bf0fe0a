"""Private keys of clients, in PEM, and their public parts as servers know them."""

from __future__ import annotations

import base64
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

Key: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def pem(key: Key, form: PrivateFormat = PrivateFormat.PKCS8, pass_phrase: bytes = b"") -> str:
    hidden: KeySerializationEncryption = BestAvailableEncryption(pass_phrase) if pass_phrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, hidden).decode()


def public_jwk(text: str) -> dict[str, Any]:
    """Return the public part of a PEM text as a JSON Web Key (RFC 7517)."""
    key = load_pem_private_key(text.encode(), None)
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "use": "sig", "n": _number(numbers.n, 256), "e": _number(numbers.e, 3)}
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    point = key.public_key().public_numbers()
    return {"kty": "EC", "use": "sig", "crv": "P-256", "x": _number(point.x, 32), "y": _number(point.y, 32)}


def secrets_in(text: str) -> list[str]:
    """Return texts of which none may be seen anywhere: each line of a PEM text, and the numbers that are secret."""
    lines = [line for line in text.splitlines() if line and not line.startswith("-----")]
    key = load_pem_private_key(text.encode(), None)
    if isinstance(key, rsa.RSAPrivateKey):
        private = key.private_numbers()
        numbers = [private.p, private.q, private.d]
    else:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        numbers = [key.private_numbers().private_value]
    return [*lines, *(str(number) for number in numbers), *(f"{number:x}" for number in numbers)]


def _number(value: int, size: int) -> str:
    return (
        base64.urlsafe_b64encode(value.to_bytes(max(size, (value.bit_length() + 7) // 8), "big")).decode().rstrip("=")
    )
