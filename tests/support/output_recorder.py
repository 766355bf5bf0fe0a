"""Keeps what a sidecar said to the outside, and searches it for secrets."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.replica import Answer
from tests.support.secret_encodings import spellings


class OutputRecorder:
    """Everything a replica said to the outside: `seen` may hold no secret, `good` the access token."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.good: list[str] = []
        self.searched_bytes = 0
        self.searched_for: set[str] = set()

    def note(self, answer: Answer) -> Answer:
        text = f"{answer.status} {dict(answer.headers)} {answer.text}"
        (self.good if answer.status in (200, 204) else self.seen).append(text)
        return answer

    def found(self, secrets: Iterable[str], places: Iterable[str]) -> list[str]:
        """The secrets that are in these texts in any spelling."""
        sought, text = list(secrets), "\n".join(places)
        self.searched_bytes += len(text.encode())
        self.searched_for |= set(sought)
        return found(sought, text)

    @property
    def figures(self) -> dict[str, int]:
        """How much was searched for how much."""
        forms = {form for secret in self.searched_for for form in spellings(secret)}
        return {"bytes": self.searched_bytes, "secrets": len(self.searched_for), "spellings": len(forms)}


def found(secrets: Iterable[str], text: str) -> list[str]:
    return [secret for secret in secrets if any(form in text for form in spellings(secret))]
