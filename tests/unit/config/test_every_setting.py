"""Each setting with invalid values, alone and all at once: it is named, with exit code 2, no traceback and no secret.

The settings' own parsers select the values, so a new setting is tried as soon as it is in the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sidecar.app import check as checking
from sidecar.app import run as serving
from sidecar.cli.main import run
from sidecar.config.schema import SETTINGS, Settings
from sidecar.config.settings import Setting

CANARY = "canary-7f3a"
CREDENTIALS = {"SIDECAR_API_KEY": "key", "SIDECAR_API_SECRET": "secret"}
TEXTS = (
    f"{CANARY}", f"{CANARY} /@:,#", f"{CANARY}\x07", f"http://{CANARY}:pass@host:99999", f"redis://u:{CANARY}@h:x",
    "-1", "0", "1e3", "nan", "inf", "0x10", "1_000", "+5", "٣", "9" * 13, "9" * 5000, "1,,1", "1,1", ",", "1/0", "0/1",
    "true,false", "[::1", "host:99999", "unix:", "\ud800", "x" * 200_000, "\0", f"{CANARY}\n", "a\u202eb",
)  # fmt: skip
"""Texts of each form that a setting may have, and of no form."""


def refused(setting: Setting[Any]) -> Iterator[str]:
    """Return the texts that its parser rejects. Other exceptions fail the calling test."""
    for text in TEXTS:
        try:
            setting.parse(text.strip())
        except ValueError:
            yield text


@pytest.fixture(autouse=True)
def _nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that are accepted by mistake would start a service."""

    async def started(*_args: object, **_options: object) -> None:
        raise AssertionError("started with a value that cannot work")

    monkeypatch.setattr(serving, "serve", started)
    monkeypatch.setattr(checking, "check", started)


def error_lines(command: str, environ: Mapping[str, str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of a command that ends with exit code 2."""
    assert run([command], environ) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    lines = err.splitlines()
    assert all(line.startswith(f"token-sidecar {command}: ") for line in lines), lines
    return lines


def test_every_setting_has_an_invalid_value() -> None:
    assert {setting.name for setting in SETTINGS if not any(refused(setting))} == set()


@pytest.mark.parametrize("command", ["serve", "check"])
@pytest.mark.parametrize("setting", [one for one in SETTINGS if one is not Settings.config], ids=lambda one: one.name)
def test_an_invalid_value_is_named_and_ends_with_2(
    setting: Setting[Any], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in refused(setting):
        lines = error_lines(command, CREDENTIALS | {setting.name: text}, capsys)
        assert any(setting.name in line for line in lines), text[:80]
        assert max(map(len, lines)) < 1000, "a line for people"
        if not setting.shown:
            assert CANARY not in "".join(lines)


@pytest.mark.parametrize("command", ["serve", "check"])
def test_invalid_values_of_all_settings_at_once_are_all_named(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    environ = {setting.name: next(refused(setting)) for setting in SETTINGS if setting is not Settings.config}
    text = "\n".join(error_lines(command, environ, capsys))
    assert [name for name in environ if name not in text] == []


def test_invalid_values_of_all_settings_in_the_file_are_all_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sidecar.toml"
    keys = [setting.key for setting in SETTINGS if setting is not Settings.config]
    path.write_text("".join(f"{key} = {{ a = 1 }}\n" for key in keys))
    text = "\n".join(error_lines("serve", {"SIDECAR_CONFIG": str(path)}, capsys))
    assert [key for key in keys if key not in text] == []
