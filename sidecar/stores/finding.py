"""What was found when a store was tried, for the person who set it up."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.core.errors import StoreError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a store, or could not be looked at.

    `words` say what it is and what to do about it; they hold no secret. `address` is where it was found, empty where
    the store has none. A note does not keep a sidecar from working now.
    """

    words: str
    address: str = ""
    is_note: bool = False

    def __str__(self) -> str:
        return f"{self.address}: {self.words}" if self.address else self.words


def finding_of(error: StoreError) -> Finding:
    """An operation that failed, by its class where there are no words for it."""
    return Finding(error.words or f"{error.operation} failed: {error.cause}", error.address)
