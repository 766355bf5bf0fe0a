"""One setting as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

PREFIX = "SIDECAR_"


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting: its variable, how its text is read, its default as text ("" is unset), and one line for people."""

    name: str
    parse: Callable[[str], T]
    default: str
    meaning: str
    per_profile: bool = False
    shown: bool = True
    """Whether an error may quote the refused value; False where it may hold a secret."""
    default_note: str = ""
    """What stands in documents when the default is not its text."""
    empty_counts: bool = False
    """Whether an empty text is a value, and so refused by `parse`; else it means unset."""

    @property
    def key(self) -> str:
        """The name in the TOML file."""
        return self.name.removeprefix(PREFIX).lower()

    @property
    def default_shown(self) -> str:
        return self.default_note or self.default or "unset"
