"""Record what a sidecar sent and logged, and search it for secrets."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.replica import Answer
from tests.support.secret_encodings import encodings


class OutputRecorder:
    """The responses of a replica: those in `seen` may hold no secret, those in `good` hold the access token."""

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
        """Return the secrets that are in these texts, in any encoding."""
        sought, text = list(secrets), "\n".join(places)
        self.searched_bytes += len(text.encode())
        self.searched_for |= set(sought)
        return found(sought, text)

    @property
    def figures(self) -> dict[str, int]:
        """Return how many bytes were searched, and for how many secrets and encodings."""
        forms = {form for secret in self.searched_for for form in encodings(secret)}
        return {"bytes": self.searched_bytes, "secrets": len(self.searched_for), "encodings": len(forms)}


def found(secrets: Iterable[str], text: str) -> list[str]:
    return [secret for secret in secrets if any(form in text for form in encodings(secret))]
