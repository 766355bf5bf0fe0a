"""The declaration of one setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

PREFIX = "SIDECAR_"


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting: its variable, its parser, its default as text ("" is unset), and its meaning in one line."""

    name: str
    parse: Callable[[str], T]
    default: str
    meaning: str
    per_profile: bool = False
    shown: bool = True
    """Whether an error may quote the refused value; False when the value may be a secret."""
    default_note: str = ""
    """The default as the documentation shows it, if not as its text."""
    empty_counts: bool = False
    """Whether an empty text is a value, which `parse` refuses; otherwise it means unset."""

    @property
    def key(self) -> str:
        """The name in the TOML file."""
        return self.name.removeprefix(PREFIX).lower()

    @property
    def default_shown(self) -> str:
        return self.default_note or self.default or "unset"
