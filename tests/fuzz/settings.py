"""The settings: `Settings` or every problem at once, both without a secret.

An input is lines `NAME=value` as in the environment, and after a line `---` the TOML file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict

from sidecar.config.load import load
from sidecar.config.schema import SETTINGS
from sidecar.core.errors import ConfigurationError
from tests.fuzz.findings import CANARY, hold, hold_secret, planted
from tests.fuzz.scratch import scratch_folder
from tests.support.partners import shipped

WORDS = (
    b"SIDECAR_", b"SIDECAR_API_KEY=", b"SIDECAR_API_SECRET=", b"SIDECAR_STORE=redis://u:", b"SIDECAR_LISTEN=",
    b"SIDECAR_CALL_BUDGET=", b"SIDECAR_BASE_URL=http://", b"\n---\n", b"[profiles.", b"api_secret = ", b"store = '",
    b"[partners.a]\ntoken_path = '/t'\n", b"partner = 'a'\n", b"SIDECAR_PARTNER=oauth2\n",
    b"rediss://h?ssl_ca_certs=/", b"%00", b"[[", b"0x", b"1e9", b"\xfe",
)  # fmt: skip
PRESETS = shipped(pay1st="https://partner.test", flow1st="https://partner.test")
_SECRET = ("SIDECAR_API_KEY", "SIDECAR_API_SECRET", "SIDECAR_STORE")
_KNOWN = {setting.name for setting in SETTINGS}
_NOT_OURS = (b"/dev", b"/proc")
"""Files that a setting may name, and whose reading does not end."""


def check(data: bytes) -> None:
    """Load settings from an environment and a file, if there is one."""
    if any(place in data for place in _NOT_OURS):
        return
    before, mark, toml = planted(data).partition(b"\n---\n")
    environ = _environment(before)
    if mark:
        path = scratch_folder() / "sidecar.toml"
        path.write_bytes(toml)
        environ["SIDECAR_CONFIG"] = str(path)
    silent = not _is_shown(environ, toml if mark else b"")
    shown: tuple[str, ...]
    try:
        settings = load(environ, PRESETS)
    except ConfigurationError as error:
        hold(true=bool(error.problems) and all(error.problems), what="refused without a problem")
        shown = (str(error), repr(error))
    else:
        hold(true=bool(settings.profiles and settings.listen and settings.admin_listen), what="settings with a hole")
        shown = (repr(settings), repr(asdict(settings)), *settings.warnings)
    if silent:
        hold_secret(CANARY, *shown)


def _environment(lines: bytes) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines.decode("utf-8", "surrogateescape").split("\n"))
    # An environment has no null byte. It names no file but that of the test.
    return {name: value for name, _, value in pairs if name != "SIDECAR_CONFIG" and "\0" not in name + value}


def _is_shown(environ: Mapping[str, str], toml: bytes) -> bool:
    """Whether the canary is where an error may quote it: in a name, or in a setting without a secret."""
    if any(CANARY in name or (CANARY in value and not _is_kept(name, value)) for name, value in environ.items()):
        return True
    try:
        document = tomllib.loads(toml.decode())
    except (ValueError, RecursionError):
        return False
    # The target `partner_table` holds what is hidden of a partner's table.
    return CANARY in str(document.pop("partners", "")) or _table_shows(document)


def _table_shows(table: Mapping[str, object]) -> bool:
    for key, value in table.items():
        if CANARY in key:
            return True
        if isinstance(value, dict) and _table_shows(value):
            return True
        if (
            isinstance(value, str | list)
            and CANARY in str(value)
            and not _is_kept(f"SIDECAR_{key.upper()}", str(value))
        ):
            return True
    return False


def _is_kept(name: str, value: str) -> bool:
    """Whether no error may quote a value: a secret (of a store's URL not its files), or that of a misspelt name."""
    if name in _SECRET:
        return not any(part in value for part in ("_file", "ssl_"))
    return name not in _KNOWN
