"""The tokens that callers may present."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from sidecar.core.model import Secret


class CallerTokens:
    """Any of several tokens lets a caller in, so that one can be replaced without a gap. Holds their digests alone."""

    def __init__(self, tokens: Iterable[Secret]) -> None:
        self._digests = tuple(_digest(token.reveal()) for token in tokens)

    def accept(self, offered: str) -> bool:
        """Compare with each token, in a time that depends on no text and not on which of them is equal.

        Header text may hold bytes that are not UTF-8. By digests: `hmac.compare_digest` itself returns early when the
        lengths differ.
        """
        digest = _digest(offered)
        accepted = False
        for known in self._digests:
            accepted |= hmac.compare_digest(digest, known)
        return accepted


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
