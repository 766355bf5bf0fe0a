"""Encryption of tokens at rest in the store, so that read access to the store gives no token."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sidecar.core.errors import ConfigurationError, SidecarError
from sidecar.core.model import Secret
from sidecar.secret_file import SecretFileError, read_lines, secret_problem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
"""96 bits, the length AES-GCM is defined for (NIST SP 800-38D, 5.2.1.1)."""
KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


class UnsealError(SidecarError):
    """A sealed text cannot be opened here: another key, another context, another form, or it was tampered with."""


class Sealer(Protocol):
    """Turns bytes into printable ASCII text and back."""

    def seal(self, plain: bytes, context: str) -> str: ...

    def open(self, sealed: str, context: str) -> bytes:
        """Raises `UnsealError`, also when `context` is not the one it was sealed for."""
        ...


@dataclass(frozen=True, slots=True)
class SealKey:
    """One key; `key` is base64 of 32 bytes."""

    key_id: str
    key: Secret


class AesSealer:
    """AES-256-GCM as `aes:<key id>:<base64 of nonce and ciphertext>`. The first key seals, all open."""

    def __init__(self, keys: Sequence[SealKey]) -> None:
        # Imported late: memory:// and SIDECAR_SEAL=off run without its 10 MB.
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._invalid_tag = InvalidTag
        self._cipher_of: Callable[[bytes], AESGCM] = AESGCM
        self.use(keys)

    def use(self, keys: Sequence[SealKey]) -> None:
        """Replace all keys."""
        self._ciphers = {key.key_id: self._cipher_of(base64.b64decode(key.key.reveal())) for key in keys}
        # Assigned as one value: a store's thread may be sealing at this moment.
        self._sealing = keys[0].key_id, self._ciphers[keys[0].key_id]

    def seal(self, plain: bytes, context: str) -> str:
        # Random nonces are safe for 2**32 messages a key; one is spent per partner call.
        nonce = os.urandom(NONCE_BYTES)
        key_id, cipher = self._sealing
        ciphertext = cipher.encrypt(nonce, plain, context.encode())
        return f"aes:{key_id}:{base64.b64encode(nonce + ciphertext).decode()}"

    def open(self, sealed: str, context: str) -> bytes:
        # An `open:` text is refused: write access to the store must not be enough to plant a token.
        form, _, rest = sealed.partition(":")
        key_id, _, encoded = rest.partition(":")
        if form != "aes" or key_id not in self._ciphers:
            raise UnsealError("not sealed with a key known here")
        box = _decoded(encoded)
        try:
            return self._ciphers[key_id].decrypt(box[:NONCE_BYTES], box[NONCE_BYTES:], context.encode())
        except (self._invalid_tag, ValueError):
            raise UnsealError("sealed for another context, or damaged") from None


class OpenSealer:
    """No sealing (`SIDECAR_SEAL=off`): plain base64 as `open:<base64>`, so that it is not mistaken for sealed."""

    def seal(self, plain: bytes, context: str) -> str:  # noqa: ARG002 - the protocol's form; nothing is bound here
        return f"open:{base64.b64encode(plain).decode()}"

    def open(self, sealed: str, context: str) -> bytes:  # noqa: ARG002 - the same
        form, _, encoded = sealed.partition(":")
        if form != "open":
            raise UnsealError("not an open text")
        return _decoded(encoded)


def load_seal_keys(path: Path) -> tuple[SealKey, ...]:
    """Read a key file: one key a line, base64 of 32 bytes, optionally `id:` before it; blank and `#` lines passed over.

    Without an id a key is named by a short digest of itself. Raises `ConfigurationError` with every problem by file
    and line, never with content.
    """
    place = f"SIDECAR_SEAL_KEY_FILE: {path}"
    try:
        lines = read_lines(path)
    except SecretFileError as error:
        raise ConfigurationError([f"{place}: {error}"]) from None
    keys: dict[str, SealKey] = {}
    problems: list[str] = []
    for number, line in lines:
        if line.startswith("#"):
            continue
        try:
            key = _parsed(line)
        except ValueError as problem:
            problems.append(f"{place}, line {number}: {problem}")
            continue
        if key.key_id in keys:
            problems.append(f"{place}, line {number}: a second key with the same id")
        keys[key.key_id] = key
    if not keys and not problems:
        problems.append(f"{place}: no key in it; make one with: openssl rand -base64 {KEY_BYTES}")
    if problems:
        raise ConfigurationError(problems)
    return tuple(keys.values())


def _parsed(line: str) -> SealKey:
    """Return the key of one line. Raises `ValueError` with a text free of content."""
    before, colon, after = line.partition(":")
    key_id, encoded = (before.strip(), after.strip()) if colon else ("", line)
    if problem := secret_problem(line) or secret_problem(encoded):
        raise ValueError(problem)
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise ValueError("not base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, this one has {len(key)}")
    if colon and not KEY_ID.fullmatch(key_id):
        raise ValueError("an id is 1 to 32 letters, digits, - or _")
    return SealKey(key_id or hashlib.sha256(b"seal-key:" + key).hexdigest()[:8], Secret(encoded))


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise UnsealError("not base64") from None
