"""The command line: its arguments, its output and its exit codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sidecar import __version__
from sidecar.app import check as checking
from sidecar.app import demo as demo_module
from sidecar.app import run as serving
from sidecar.app import running
from sidecar.app.check import CheckLine
from sidecar.cli.main import run
from sidecar.config.schema import SETTINGS, Settings
from sidecar.core.errors import ConfigurationError, StoreError

COMMANDS = ("serve", "check", "status", "token", "sandbox", "demo")
CREDENTIALS = {"SIDECAR_API_KEY": "canary-key", "SIDECAR_API_SECRET": "canary-secret"}


def help_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        run([*argv, "--help"], {})
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys)
    assert all(f"    {command} " in text for command in COMMANDS)
    assert "exit codes:" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys, command)
    assert "example" in text
    assert f"token-sidecar {command}" in text
    assert max(map(len, text.splitlines())) <= 120


def test_serve_help_lists_every_setting_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    lines = help_of(capsys, "serve").splitlines()
    expected = [
        f"  {setting.name} = {setting.default_shown}{' *' if setting.per_profile else ''}" for setting in SETTINGS
    ]
    assert [line for line in lines if line.startswith("  SIDECAR_") and " = " in line] == expected


def test_serve_help_explains_how_to_end_the_drain_early(capsys: pytest.CaptureFixture[str]) -> None:
    assert "A second SIGTERM or SIGINT skips the rest of the drain" in help_of(capsys, "serve")


def test_check_help_names_what_is_not_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Listener addresses are not checked" in help_of(capsys, "check")


def test_version_prints_the_version_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(["--version"], {})
    assert capsys.readouterr().out == f"token-sidecar {__version__}\n"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["serv"],
        ["serve", "--port", "1"],
        ["token", "--format", "xml"],
        ["sandbox", "--rate", "6"],
        ["sandbox", "--listen", "8080"],
        ["sandbox", "--token-lifetime", "nan"],
        ["demo", "--port", "x"],
    ],
)
def test_an_invalid_command_line_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(argv, {})
    assert caught.value.code == 2
    assert "usage: token-sidecar" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "check"])
def test_every_configuration_problem_is_a_line_on_stderr_and_ends_with_2(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command], CREDENTIALS | {"SIDECAR_POLL_S": "0", "SIDECAR_LISTN": "x"}) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": ")[0] for line in err.splitlines()] == [f"token-sidecar {command}"] * 2
    assert "SIDECAR_LISTN" in err
    assert "SIDECAR_POLL_S" in err


def test_serve_runs_the_service_with_the_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[tuple[Settings, Mapping[str, str]]] = []

    async def serve(settings: Settings, environ: Mapping[str, str]) -> int:
        served.append((settings, environ))
        return 0

    monkeypatch.setattr(serving, "serve", serve)
    assert run(["serve"], CREDENTIALS | {"SIDECAR_DRAIN_S": "7", "NOTIFY_SOCKET": "/n"}) == 0
    assert [(settings.drain_s, environ["NOTIFY_SOCKET"]) for settings, environ in served] == [(7, "/n")]


@pytest.mark.parametrize(("works", "code", "word"), [(True, 0, "ok "), (False, 1, "FAILED ")])
@pytest.mark.parametrize("live", [False, True])
def test_check_prints_a_line_for_each_check_and_fails_when_one_fails(
    works: bool, code: int, word: str, live: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[bool] = []

    async def check(settings: Settings, *, live: bool) -> list[CheckLine]:
        asked.append(live)
        return [CheckLine(True, "credentials", ""), CheckLine(works, "store", "the detail")]

    monkeypatch.setattr(checking, "check", check)
    assert run(["check", *(["--live"] if live else [])], CREDENTIALS) == code
    assert asked == [live]
    first, second = capsys.readouterr().out.splitlines()
    assert first == "ok       credentials"
    assert second.startswith(word)
    assert second.endswith("store: the detail")


def test_check_prints_the_warnings_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def check(settings: Settings, *, live: bool) -> list[CheckLine]:
        return []

    monkeypatch.setattr(checking, "check", check)
    assert run(["check"], CREDENTIALS | {"SIDECAR_CALL_BUDGET": "1/3600"}) == 0
    assert capsys.readouterr().out.startswith("warning  profile default: the call budget of 1 in 3600 s")


def test_demo_gets_its_ports_and_prints_its_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def demo(*, port: int, admin_port: int, gateway_port: int, say: Callable[[str], None]) -> int:
        say(f"{port}, {admin_port} and {gateway_port}")
        return 0

    monkeypatch.setattr(demo_module, "demo", demo)
    assert run(["demo", "--port", "1", "--admin-port", "2", "--gateway-port", "3"], {}) == 0
    assert capsys.readouterr().out == "1, 2 and 3\n"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (StoreError("peek", "ConnectionError"), 1, "token-sidecar serve: store peek failed: ConnectionError\n"),
        (ConfigurationError(["cannot listen on x", "nor on y"]), 2, None),
    ],
)
def test_an_error_that_stops_a_command_becomes_a_line_and_an_exit_code(
    error: BaseException,
    code: int,
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load_settings(environ: Mapping[str, str]) -> Settings:
        raise error

    monkeypatch.setattr(running, "load_settings", load_settings)
    assert run(["serve"], {}) == code
    expected = "token-sidecar serve: cannot listen on x\ntoken-sidecar serve: nor on y\n" if said is None else said
    assert capsys.readouterr().err == expected


def test_the_sandbox_reads_its_credentials_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each missing file is reported in one line."""
    assert run(["sandbox", "--credentials-dir", str(tmp_path)], {}) == 1
    said = [f"token-sidecar sandbox: {tmp_path}/{name}: no such file" for name in ("api-key", "api-secret")]
    assert capsys.readouterr().err.splitlines() == said
