"""The tokens that callers may present, and the file with them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Secret
from sidecar.file_operations import read_at_start
from sidecar.secret_file import SecretFileError, caller_token_lines


class CallerTokens:
    """Accepts any of several tokens, so that one can be replaced without an outage. Holds only their digests."""

    def __init__(self, tokens: Iterable[Secret]) -> None:
        self._digests = tuple(_digest(token.reveal()) for token in tokens)

    def accept(self, offered: str) -> bool:
        """Compare with each token, in a time that depends neither on the texts nor on which token is equal.

        Digests are compared, because `hmac.compare_digest` returns early when the lengths differ. Header text may have
        bytes that are not UTF-8.
        """
        digest = _digest(offered)
        accepted = False
        for known in self._digests:
            accepted |= hmac.compare_digest(digest, known)
        return accepted


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def read_caller_tokens(path: Path) -> tuple[Secret, ...]:
    """Return the tokens, at least one. Raises `ConfigurationError` with every problem by file and line."""
    try:
        return tuple(Secret(line) for line in caller_token_lines(path))
    except SecretFileError as error:
        raise ConfigurationError([f"{_place(path)}{problem}" for problem in error.problems]) from None


def first_caller_tokens(path: Path) -> tuple[Secret, ...]:
    """Read the tokens at the start. Raises `ConfigurationError`, also when the file hangs."""
    return read_at_start(_place(path), lambda: read_caller_tokens(path))


def _place(path: Path) -> str:
    return f"SIDECAR_CALLER_TOKEN_FILE: {path}"
