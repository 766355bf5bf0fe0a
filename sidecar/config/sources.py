"""Reads the sources of settings: the environment, and the TOML file that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.config.schema import SETTINGS, Settings
from sidecar.config.settings import PREFIX, Diagnostics, Layer, RawValue
from sidecar.core.closest import did_you_mean
from sidecar.file_operations import FileOperationError, read_in_time
from sidecar.secret_file import SecretFileError, read_text

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_BY_KEY = {setting.key: setting for setting in SETTINGS if setting is not Settings.config}
_PROFILE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_TABLES = "profiles"
_PARTNERS = "partners"
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
    partners: object = field(default_factory=dict)
    """The tables of `[partners.NAME]`, as they were written."""
    readable: bool = True
    """False when the file cannot be read: its settings are unknown then."""

    def place_of(self, profile: str) -> str:
        """Return the place of a profile's settings, in the words of `RawValue.origin`."""
        return f"in [profiles.{profile}] of {self.config}"


def read(environ: Mapping[str, str], diagnostics: Diagnostics) -> Sources:
    """Read the raw settings. Unknown names and files that cannot be read become problems.

    An empty text means unset, except for settings with `empty_counts`.
    """
    environment: dict[str, RawValue] = {}
    for name, text in sorted(environ.items()):
        setting = _BY_NAME.get(name)
        if setting is not None and (text.strip() or setting.empty_counts):
            environment[setting.key] = RawValue(text.strip(), name)
        elif setting is None and name.startswith(PREFIX) and text.strip():
            _check_unknown(name, text, diagnostics)
    config = environment.pop(Settings.config.key, None)
    if config is None:
        return Sources(environment)
    document = _read_file(Path(config.text), diagnostics)
    if document is None:
        return Sources(environment, readable=False)
    tables, partners = document.pop(_TABLES, {}), document.pop(_PARTNERS, {})
    top = _layer(document, f"in {config.text}", diagnostics, profile=False)
    return Sources(environment, top, _profiles(tables, config.text, diagnostics), config.text, partners)


def _check_unknown(name: str, text: str, diagnostics: Diagnostics) -> None:
    hint = did_you_mean(name, _BY_NAME, PREFIX)
    if not _SERVICE_NAME.fullmatch(name):
        diagnostics.problem(f"{name} is not a setting{hint or '; token-sidecar serve --help lists them'}")
    elif name.endswith("_PORT") and not name.endswith(_NUMBERED_PORTS) and "://" not in text:
        # A Service's own `…_PORT` holds tcp://10.0.0.1:8181. A person wrote a bare number; it does not stop the start.
        diagnostics.warn(
            f"{name} is ignored as a Kubernetes Service variable, although its value is not such an address{hint}"
        )


def _read_file(path: Path, diagnostics: Diagnostics) -> dict[str, object] | None:
    import tomllib  # only where a file is named

    try:
        return tomllib.loads(read_in_time(lambda: read_text(path, _MAX_FILE_BYTES)))
    except (SecretFileError, FileOperationError) as error:
        diagnostics.problem(f"{Settings.config.name}: {path}: {error}")
    except (ValueError, RecursionError) as error:
        # Also too long integers and too deep nesting, for which tomllib has no errors of its own.
        diagnostics.problem(f"{Settings.config.name}: {path} is not TOML: {_place_of(error)}")
    return None


def _place_of(error: Exception) -> str:
    """Return only the error's place: its text may quote the file, and that part may be a secret."""
    place = re.search(r"\((at .+)\)$", str(error))
    return f"look {place[1]}" if place else "it does not parse"


def _profiles(tables: object, path: str, diagnostics: Diagnostics) -> dict[str, Layer]:
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        diagnostics.problem(f"profiles in {path} must be tables, such as [profiles.default]")
        return {}
    for name in tables:
        if not _PROFILE_NAME.fullmatch(name) or name == _RESERVED_NAME:
            diagnostics.problem(
                f"[profiles.{name}] in {path}: a name has 1 to 32 of a-z, 0-9 and '-', starts with a letter or digit, "
                f"and is not {_RESERVED_NAME!r}"
            )
    return {
        name: _layer(table, f"in [profiles.{name}] of {path}", diagnostics, profile=True)
        for name, table in tables.items()
    }


def _layer(table: Mapping[str, object], place: str, diagnostics: Diagnostics, *, profile: bool) -> Layer:
    layer: dict[str, RawValue] = {}
    for key, value in table.items():
        setting, origin = _BY_KEY.get(key), f"{key} {place}"
        known = [known for known, setting in _BY_KEY.items() if setting.per_profile or not profile]
        text = _text_of(value)
        if setting is None:
            # Common mistakes are the variable's name, and the name of the tables in the singular.
            words = known if profile else [*known, _TABLES, _PARTNERS]
            diagnostics.problem(
                f"{origin} is not a setting{did_you_mean(key.lower().removeprefix(PREFIX.lower()), words)}"
            )
        elif profile and not setting.per_profile:
            diagnostics.problem(f"{origin} is the same for all profiles: move it above the tables")
        elif text is None:
            diagnostics.problem(f"{origin} must be text, a number, true, false or a list of texts")
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
