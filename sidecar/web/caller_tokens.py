"""The tokens that callers may present."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from sidecar.core.model import Secret


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
