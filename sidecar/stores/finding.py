"""The result of checking a store, for the operator."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.core.errors import StoreError


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a store, or one thing that could not be checked.

    `words` say what is wrong and what to do about it; they contain no secret. `address` is where it was found, empty
    if the store has none. A note does not prevent a sidecar from working now.
    """

    words: str
    address: str = ""
    is_note: bool = False

    def __str__(self) -> str:
        return f"{self.address}: {self.words}" if self.address else self.words


def finding_of(error: StoreError) -> Finding:
    """Return the finding for a failed operation, named by its cause if there are no words for it."""
    return Finding(error.words or f"{error.operation} failed: {error.cause}", error.address)
