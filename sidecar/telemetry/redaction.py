"""Masks secrets in log lines. A second protection: no code should log a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecar.core.model import Secret

MASK = "***"
SHORTEST_SECRET = 4
"""Shorter texts are not searched for: masking every "a" would hide the log, not the secret."""

_SECRET_NAMES = frozenset(
    {
        "accesstoken", "apikey", "apisecret", "authorization", "callertoken", "clientsecret", "cookie", "credentials",
        "passwd", "password", "proxyauthorization", "refreshtoken", "sealkey", "secret", "signingkey", "token",
    }
)  # fmt: skip


class Redactor:
    """Masks secrets by type, by the name of their field, and by their registered text."""

    def __init__(self) -> None:
        self._secrets: list[Secret] = []

    def register(self, *secrets: Secret) -> None:
        """Mask these in every text from now on. Meant for long-lived secrets."""
        long = [secret for secret in secrets if len(secret.reveal()) >= SHORTEST_SECRET]
        # The longest first: if a secret contains another one, its ends must be masked too.
        self._secrets = sorted([*self._secrets, *long], key=lambda secret: len(secret.reveal()), reverse=True)

    def forget(self, *secrets: Secret) -> None:
        """Remove one registration of each: another component may have registered the same text."""
        for secret in secrets:
            if secret in self._secrets:
                self._secrets.remove(secret)

    def mapping(self, line: Mapping[str, object]) -> dict[str, object]:
        """Return `line` in plain values, with secrets masked."""
        return {self.text(name): MASK if _names_secret(name) else self._value(value) for name, value in line.items()}

    def _value(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return self.mapping(value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        # Any other value is written as its `repr`, which may contain any text.
        return self.text(repr(value))

    @property
    def texts(self) -> Sequence[str]:
        """Every registered secret, for code that masks other texts than log lines."""
        return [secret.reveal() for secret in self._secrets]

    def text(self, text: str) -> str:
        """Return `text` with every registered secret masked."""
        for secret in self._secrets:
            if secret.reveal() in text:
                text = text.replace(secret.reveal(), MASK)
        return text


def _names_secret(name: str) -> bool:
    return name.lower().replace("_", "").replace("-", "") in _SECRET_NAMES
