"""The output of the commands with secrets in the environment, in files, or in arguments by mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KEY, SECRET, PASSWORD, CALLER_TOKEN = "canary-key", "canary-secret", "canary-password", "canary-caller"
LIMIT_S = 60
TOP = Path(__file__).resolve().parents[2]


def printed(*argv: str, **settings: str) -> str:
    """Return the output of `token-sidecar ARGV` with these settings beside the secrets."""
    environ = {
        "PATH": os.defpath,
        "SIDECAR_API_KEY": KEY,
        "SIDECAR_API_SECRET": SECRET,
        "SIDECAR_STORE": f"redis://:{PASSWORD}@127.0.0.1:1",
        "SIDECAR_SEAL": "off",
        "SIDECAR_BASE_URL": "http://127.0.0.1:1",
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
    }
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "sidecar", *argv],
        env=environ | {f"SIDECAR_{name}": text for name, text in settings.items()},
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.parametrize("command", ["", "serve", "check", "status", "token", "sandbox", "demo"])
def test_the_help_shows_nothing_of_the_environment(command: str) -> None:
    text = printed(*filter(None, [command]), "--help")
    assert "usage: token-sidecar" in text
    assert "canary" not in text


@pytest.mark.parametrize("argv", [("check",), ("check", "--live"), ("status",), ("status", "--json"), ("token",)])
def test_a_command_that_fails_shows_nothing_of_the_environment(argv: tuple[str, ...]) -> None:
    text = printed(*argv, LISTEN="127.0.0.1:1", ADMIN_LISTEN="127.0.0.1:1")
    assert text
    assert "canary" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"API_KEY": "canary:key"},
        {"API_SECRET": "canary\nsecret"},
        {"API_SECRET": "canary-\udcff"},
        {"STORE": "redis://:canary@pass@h:x/y"},
        {"STORE": "canary://user:canary@host"},
        {"BASE_URL": "http://user:canary@127.0.0.1"},
        {"BASE_URL": "https://127.0.0.1:canary"},
        {"CREDENTIALS_DIR": "/nowhere"},
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_setting_that_is_wrong_is_named_and_not_shown(command: str, wrong: dict[str, str]) -> None:
    text = printed(command, **wrong)
    assert text
    assert "canary" not in text
    assert "Traceback" not in text


@pytest.mark.parametrize("content", ["canary\x01caller", "canary caller\nanother", "canar\xffy"])
@pytest.mark.parametrize("form", ["raw", "json", "header"])
def test_a_caller_token_that_cannot_be_sent_is_not_shown(tmp_path: Path, content: str, form: str) -> None:
    file = tmp_path / "caller-token"
    file.write_bytes(content.encode("latin-1"))
    text = printed("token", "--format", form, CALLER_TOKEN_FILE=str(file), LISTEN="127.0.0.1:1")
    assert str(file) in text
    assert "canar" not in text.replace(str(file), "")


@pytest.mark.parametrize(
    "argv", [("token", "--format", "xml"), ("token", "--nonsense"), ("status", "--json=1"), ("no",)]
)
def test_misuse_is_answered_with_the_usage_alone(argv: tuple[str, ...]) -> None:
    text = printed(*argv)
    assert "usage: token-sidecar" in text
    assert "canary" not in text


def test_commands_begin_with_no_secret_in_their_environment_and_no_copy_of_it_made() -> None:
    """Libraries copy the environment when they are imported, so the command gets its settings separately."""
    source = (
        "import os, sys, sidecar.__main__ as main\n"
        "def run(argv, environ):\n"
        "    left = [name for name in os.environ if name.startswith('SIDECAR_')]\n"
        "    print(sorted(left), environ['SIDECAR_API_KEY'], 'wsgiref.handlers' in sys.modules)\n"
        "    return 0\n"
        "main.run = run; main.main()"
    )
    environ = {
        "SIDECAR_API_KEY": KEY,
        "SIDECAR_API_SECRET": SECRET,
        "SIDECAR_ROLE": "X",
        "SIDECAR_STORE": "redis://:p@h",
    }
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=environ, cwd=TOP, capture_output=True, text=True, check=True, timeout=LIMIT_S,
    )  # fmt: skip
    assert done.stdout.strip() == f"['SIDECAR_ROLE'] {KEY} False"
