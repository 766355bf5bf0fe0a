"""What a setting is, how its value is read from several sources, and where the problems of values are collected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeAlias, TypeVar, cast, overload

from sidecar.core.model import Address, Credentials, Profile, Seconds
from sidecar.core.partner_table import PartnerTable

if TYPE_CHECKING:
    from sidecar.core.allow_list import AllowRule

PREFIX = "SIDECAR_"
_QUOTED_CHARACTERS = 60

T = TypeVar("T")


class _HasValues(Protocol):
    @property
    def values(self) -> dict[str, Any]: ...


@dataclass(eq=False)
class Setting(Generic[T]):
    """One setting. The attribute of `Settings` that it is assigned to is its name."""

    parse: Callable[[str], T]
    default: str
    """As text; empty: unset, and the value is None."""
    meaning: str
    """In one line."""
    per_profile: bool = False
    shown: bool = True
    """Whether an error may quote the invalid value; False when the value may be a secret."""
    default_note: str = ""
    """The default as the documentation shows it, if not as its text."""
    empty_counts: bool = False
    """Whether an empty text is a value, which `parse` refuses; otherwise it means unset."""
    key: str = field(init=False)
    """The name in the TOML file."""

    def __set_name__(self, owner: type, key: str) -> None:
        self.key = key

    @overload
    def __get__(self, settings: None, owner: type) -> Self: ...
    @overload
    def __get__(self, settings: _HasValues, owner: type) -> T: ...
    def __get__(self, settings: _HasValues | None, owner: type) -> Self | T:
        return self if settings is None else cast(T, settings.values[self.key])

    @property
    def name(self) -> str:
        """The environment variable."""
        return PREFIX + self.key.upper()

    @property
    def default_value(self) -> T:
        return self.parse(self.default) if self.default else cast(T, None)

    @property
    def default_shown(self) -> str:
        return self.default_note or self.default or "unset"


class Replay(StrEnum):
    """Which requests the gateway sends a second time after a 401."""

    SAFE = "safe"
    """GET and HEAD, which change nothing at the partner (RFC 9110 section 9.2.1)."""
    ALL = "all"
    OFF = "off"


class SignedRequests(StrEnum):
    """Which requests the gateway signs."""

    WRITES = "writes"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """The gateway of one profile. `allow` None: the preset's list. `origin` names the setting `listen` as written."""

    listen: tuple[Address, ...]
    origin: str
    allow: tuple[AllowRule, ...] | None
    sign: SignedRequests
    replay: Replay
    timeout_s: Seconds
    max_body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """One partner account. Exactly one of `credentials_dir` and `credentials` is set."""

    profile: Profile
    table: PartnerTable
    credentials_dir: Path | None
    credentials: Credentials | None
    credentials_origin: str
    """The name of the setting with the credentials, as it was written; safe to show."""
    sink_file: Path | None
    """None: the token is written to no file."""
    sink_file_origin: str
    gateway: GatewaySettings | None = None


class Diagnostics:
    """Problems that stop the start, and warnings that do not.

    Each line is kept once, in the order found: a value that all profiles inherit is checked for each of them.
    """

    def __init__(self) -> None:
        self._problems: dict[str, None] = {}
        self._warnings: dict[str, None] = {}

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(self._problems)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)

    def problem(self, line: str) -> None:
        self._problems[line] = None

    def warn(self, line: str) -> None:
        self._warnings[line] = None


@dataclass(frozen=True, slots=True)
class RawValue:
    """A setting's text as it was written, and its place. `repr` omits the text because it may be a secret."""

    text: str = field(repr=False)
    origin: str


Layer: TypeAlias = Mapping[str, RawValue]
"""One source of settings, by key."""


class Values:
    """The values of one profile, or of all profiles together. The first layer that has a key takes precedence."""

    def __init__(self, layers: Sequence[Layer], diagnostics: Diagnostics, place: str = "") -> None:
        """`place` is the table of a profile, as in `RawValue.origin`; empty when there is none."""
        self._layers = layers
        self._place = place
        self._diagnostics = diagnostics
        self._broken: set[str] = set()

    def __getitem__(self, setting: Setting[T]) -> T:
        """Return the value that was set, else the default. Report a value that cannot be parsed."""
        raw = self.raw(setting)
        if raw is not None:
            try:
                return setting.parse(raw.text)
            except ValueError as error:
                quoted = f", not {raw.text[:_QUOTED_CHARACTERS]!r}" if setting.shown else ""
                self._diagnostics.problem(f"{raw.origin} {error}{quoted}")
                self._broken.add(setting.key)
        return setting.default_value

    def read_all(self, settings: Iterable[Setting[Any]]) -> dict[str, Any]:
        """Return the values by key. So values that are used only in some cases are reported, too."""
        return {setting.key: self[setting] for setting in settings}

    def raw(self, setting: Setting[Any]) -> RawValue | None:
        """Return what was written; None when the setting is unset."""
        return next((layer[setting.key] for layer in self._layers if setting.key in layer), None)

    def origin(self, setting: Setting[Any]) -> str:
        """Return the place to change a setting: where it was set, else the profile's table, else its variable."""
        raw = self.raw(setting)
        if raw is not None:
            return raw.origin
        return f"{setting.key} {self._place}" if self._place and setting.per_profile else setting.name

    def readable(self, settings: Iterable[Setting[Any]]) -> bool:
        """Return whether all could be parsed. Combinations are checked only among valid values."""
        return not any(setting.key in self._broken for setting in settings)
