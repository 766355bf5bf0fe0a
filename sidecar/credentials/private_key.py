"""A client's private key, which signs in place of a secret: what may be one, and its signatures (RFC 7518 section 3).

Keys are loaded without OpenSSL's validation of RSA keys: it takes up to a second, and an event loop waits meanwhile. A
key with other faults gives signatures that its own public part refuses, which `checked_key` finds out in milliseconds.
"""

from __future__ import annotations

from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

MIN_RSA_BITS = 2048
"""RFC 7518 section 3.3."""
_ES256_BYTES = 32


def load_key(text: str) -> PrivateKey:
    """Return the key of a PEM text. Raises `ValueError` with what it must be, never with the text."""
    try:
        key = load_pem_private_key(text.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause, which may quote the text.
        raise ValueError("no private key in PEM form without a pass phrase") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ValueError(f"must be an RSA key of {MIN_RSA_BITS} bits or more, or an EC key on P-256")


def checked_key(text: str) -> PrivateKey:
    """Return the key of a PEM text after a trial signature. Raises `ValueError` as `load_key` does."""
    key, content = load_key(text), b"trial"
    try:
        _verify(key, sign(key, content), content)
    except (ValueError, InvalidSignature):
        raise ValueError("a private key that is damaged: its signature is not valid") from None
    return key


def algorithm(key: PrivateKey) -> str:
    return "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"


def sign(key: PrivateKey, content: bytes) -> bytes:
    """Return the signature in the form of RFC 7518: for ES256 both numbers with 32 bytes each, not DER."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(content, padding.PKCS1v15(), SHA256())
    r, s = decode_dss_signature(key.sign(content, ec.ECDSA(SHA256())))
    return r.to_bytes(_ES256_BYTES, "big") + s.to_bytes(_ES256_BYTES, "big")


def _verify(key: PrivateKey, signature: bytes, content: bytes) -> None:
    if isinstance(key, rsa.RSAPrivateKey):
        key.public_key().verify(signature, content, padding.PKCS1v15(), SHA256())
        return
    r, s = (int.from_bytes(half, "big") for half in (signature[:_ES256_BYTES], signature[_ES256_BYTES:]))
    key.public_key().verify(encode_dss_signature(r, s), content, ec.ECDSA(SHA256()))
