"""The last line of defence: no code here is meant to log a secret, and this masks it when some does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecar.core.model import Secret

MASK = "***"
SHORTEST_SECRET = 4
"""Shorter texts are not looked for: masking every "a" would hide the log, not the secret."""

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
        """Mask these wherever they occur in any text from now on. Meant for those that live long."""
        long = [secret for secret in secrets if len(secret.reveal()) >= SHORTEST_SECRET]
        # The longest first: a secret that holds another must not leave its ends.
        self._secrets = sorted([*self._secrets, *long], key=lambda secret: len(secret.reveal()), reverse=True)

    def forget(self, *secrets: Secret) -> None:
        """Take back one registration of each: who registered the same text elsewhere still counts on it."""
        for secret in secrets:
            if secret in self._secrets:
                self._secrets.remove(secret)

    def mapping(self, line: Mapping[str, object]) -> dict[str, object]:
        """`line` in plain values, none of them secret."""
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
        # Anything else reaches the line by its `repr`, which may hold what it likes.
        return self.text(repr(value))

    @property
    def texts(self) -> Sequence[str]:
        """Every registered secret, for those who must mask more than lines."""
        return [secret.reveal() for secret in self._secrets]

    def text(self, text: str) -> str:
        """`text` with every registered secret masked."""
        for secret in self._secrets:
            text = text.replace(secret.reveal(), MASK)
        return text


def _names_secret(name: str) -> bool:
    return name.lower().replace("_", "").replace("-", "") in _SECRET_NAMES
