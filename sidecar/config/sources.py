"""Reads the sources of settings: the environment, and the TOML file that it names.

Results of reading the settings: problems that stop the start, and warnings that do not.

Parsed settings of one profile, or of all profiles together. The first layer that has a key takes precedence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sidecar.config.schema import CONFIG, SETTINGS
from sidecar.config.settings import PREFIX, Setting
from sidecar.file_operations import FileOperationError, read_in_time
from sidecar.secret_file import SecretFileError, read_text


class Findings:
    """Collects lines in the order found, each once: a value that all profiles inherit is checked for each of them."""

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


def did_you_mean(wrong: str, known: Iterable[str], prefix: str = "") -> str:
    """Return the end of a sentence, with the closest known word; empty when none is close.

    The `prefix` that all words share is left out of the comparison, because it says nothing about similarity.
    """
    from difflib import get_close_matches  # only when something is wrong

    close = get_close_matches(wrong.removeprefix(prefix), [word.removeprefix(prefix) for word in known], n=1)
    return f"; did you mean {prefix}{close[0]}?" if close else ""


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


_BY_NAME = {setting.name: setting for setting in SETTINGS}
_BY_KEY = {setting.key: setting for setting in SETTINGS if setting is not CONFIG}
_PROFILE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_TABLES = "profiles"
_SPELT = PREFIX.lower()
_RESERVED_NAME = "rejected"  # /v1/token/rejected is a path of its own

# Kubernetes sets these in every container for each Service of its namespace, so a Service named `sidecar-x` must not
# stop the start: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_NAME = re.compile(
    PREFIX + r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?)"
)
_MAX_FILE_BYTES = 1024 * 1024
_MOST_BITS = 64
"""No setting accepts a longer integer, and Python refuses to convert a very long one to text."""
_NUMBERED_PORTS = ("_SERVICE_PORT", "_TCP_PORT", "_UDP_PORT", "_SCTP_PORT")


@dataclass(frozen=True, slots=True)
class Sources:
    """The raw settings by source. `profiles` is empty when the file has no `[profiles.NAME]` table."""

    environment: Layer = field(default_factory=dict)
    file: Layer = field(default_factory=dict)
    profiles: Mapping[str, Layer] = field(default_factory=dict)
    config: str = ""
    """The path of the file; empty when none is named."""
    readable: bool = True
    """False when the file cannot be read: its settings are unknown then."""

    def table(self, profile: str) -> str:
        """Return the place of a profile's settings, in the words of `RawValue.origin`."""
        return f"in [profiles.{profile}] of {self.config}"


def read(environ: Mapping[str, str], findings: Findings) -> Sources:
    """Read the raw settings. Unknown names and files that cannot be read become problems.

    An empty text means unset, except for settings with `empty_counts`.
    """
    environment: dict[str, RawValue] = {}
    for name, text in sorted(environ.items()):
        setting = _BY_NAME.get(name)
        if setting is not None and (text.strip() or setting.empty_counts):
            environment[setting.key] = RawValue(text.strip(), name)
        elif setting is None and name.startswith(PREFIX) and text.strip():
            _judge_unknown(name, text, findings)
    config = environment.pop(CONFIG.key, None)
    if config is None:
        return Sources(environment)
    document = _read_file(Path(config.text), findings)
    if document is None:
        return Sources(environment, readable=False)
    tables = document.pop(_TABLES, {})
    top = _layer(document, f"in {config.text}", findings, profile=False)
    return Sources(environment, top, _profiles(tables, config.text, findings), config.text)


def _judge_unknown(name: str, text: str, findings: Findings) -> None:
    hint = did_you_mean(name, _BY_NAME, PREFIX)
    if not _SERVICE_NAME.fullmatch(name):
        findings.problem(f"{name} is not a setting{hint or '; token-sidecar serve --help lists them'}")
    elif name.endswith("_PORT") and not name.endswith(_NUMBERED_PORTS) and "://" not in text:
        # A Service's own `…_PORT` holds tcp://10.0.0.1:8181. A person wrote a bare number; it does not stop the start.
        findings.warn(
            f"{name} is ignored as a Kubernetes Service variable, although its value is not such an address{hint}"
        )


def _read_file(path: Path, findings: Findings) -> dict[str, object] | None:
    import tomllib  # only where a file is named

    try:
        return tomllib.loads(read_in_time(lambda: read_text(path, _MAX_FILE_BYTES)))
    except (SecretFileError, FileOperationError) as error:
        findings.problem(f"{CONFIG.name}: {path}: {error}")
    except (ValueError, RecursionError) as error:
        # Also too long integers and too deep nesting, for which tomllib has no errors of its own.
        findings.problem(f"{CONFIG.name}: {path} is not TOML: {_place_of(error)}")
    return None


def _place_of(error: Exception) -> str:
    """Return only the error's place: its text may quote the file, and that part may be a secret."""
    place = re.search(r"\((at .+)\)$", str(error))
    return f"look {place[1]}" if place else "it does not parse"


def _profiles(tables: object, path: str, findings: Findings) -> dict[str, Layer]:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        findings.problem(f"profiles in {path} must be tables, such as [profiles.default]")
        return {}
    for name in tables:
        if not _PROFILE_NAME.fullmatch(name) or name == _RESERVED_NAME:
            findings.problem(
                f"[profiles.{name}] in {path}: a name has 1 to 32 of a-z, 0-9 and '-', starts with a letter or digit, "
                f"and is not {_RESERVED_NAME!r}"
            )
    return {
        name: _layer(table, f"in [profiles.{name}] of {path}", findings, profile=True) for name, table in tables.items()
    }


def _layer(table: Mapping[str, object], place: str, findings: Findings, *, profile: bool) -> Layer:
    layer: dict[str, RawValue] = {}
    for key, value in table.items():
        setting, origin = _BY_KEY.get(key), f"{key} {place}"
        known = [known for known, setting in _BY_KEY.items() if setting.per_profile or not profile]
        text = _text_of(value)
        if setting is None:
            # Common mistakes are the variable's name, and the name of the tables in the singular.
            words = known if profile else [*known, _TABLES]
            findings.problem(f"{origin} is not a setting{did_you_mean(key.lower().removeprefix(_SPELT), words)}")
        elif profile and not setting.per_profile:
            findings.problem(f"{origin} is the same for all profiles: move it above the tables")
        elif text is None:
            findings.problem(f"{origin} must be text, a number, true, false or a list of texts")
        elif text or setting.empty_counts:
            layer[key] = RawValue(text, origin)
    return layer


def _text_of(value: object) -> str | None:
    """Return a TOML value as text in the form of the environment; None when it has no such form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        parts = [_text_of(part) for part in value if not isinstance(part, list)]
        return ",".join(part or "" for part in parts) if len(parts) == len(value) and None not in parts else None
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return None
    return str(value).strip() if isinstance(value, str | int | float) else None
