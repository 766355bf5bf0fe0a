"""Parsed settings of one profile, or of all profiles together. The first layer that has a key takes precedence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sidecar.config.findings import Findings
from sidecar.config.setting import Setting

T = TypeVar("T")

_QUOTED_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class RawValue:
    """A setting's text as it was written, and its place. `repr` omits the text because it may be a secret."""

    text: str = field(repr=False)
    origin: str


Layer = Mapping[str, RawValue]
"""TOML key -> the text as it was written."""


class Values:
    """Parses settings. A value that cannot be parsed is reported once, and its default is used instead."""

    def __init__(self, layers: Sequence[Layer], findings: Findings, place: str = "") -> None:
        """`place` is the table of a profile, as in `RawValue.origin`; empty when there is none."""
        self._layers = layers
        self._place = place
        self._findings = findings
        self._broken: set[str] = set()

    def __getitem__(self, setting: Setting[T]) -> T:
        """Return the value of a setting that has a default."""
        value = self.get(setting)
        return setting.parse(setting.default) if value is None else value

    def get(self, setting: Setting[T]) -> T | None:
        """Return the value that was set, or None."""
        given = self.given(setting)
        if given is None:
            return None
        try:
            return setting.parse(given.text)
        except ValueError as error:
            quoted = f", not {given.text[:_QUOTED_CHARACTERS]!r}" if setting.shown else ""
            self._findings.problem(f"{given.origin} {error}{quoted}")
            self._broken.add(setting.name)
            return None

    def read_all(self, settings: Iterable[Setting[Any]]) -> None:
        """Report each value that cannot be parsed, also values that are used only in some cases."""
        for setting in settings:
            self.get(setting)

    def given(self, setting: Setting[T]) -> RawValue | None:
        return next((layer[setting.key] for layer in self._layers if setting.key in layer), None)

    def origin(self, setting: Setting[T]) -> str:
        """Return the place to change a setting: where it was set, else the profile's table, else its variable."""
        given = self.given(setting)
        if given is not None:
            return given.origin
        return f"{setting.key} {self._place}" if self._place and setting.per_profile else setting.name

    def readable(self, settings: Iterable[Setting[Any]]) -> bool:
        """Return whether all could be parsed. Combinations are checked only among valid values."""
        return not any(setting.name in self._broken for setting in settings)
