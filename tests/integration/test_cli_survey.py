"""`token-sidecar survey` as a process, on a sandbox that is a process too."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import process, wait_for

SECRETS = {"api-key": "demo-api-key", "api-secret": "demo-api-secret", "signing-key": "demo-signing-key"}


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    for name, text in SECRETS.items():
        (tmp_path / name).write_text(text)
    options = ("--signed-requests", "all", "--timestamp-tolerance", "1", "--rate", "1000/60")
    with process("sandbox", "--listen", "127.0.0.1:0", *options) as sandbox:
        url = wait_for(r"(http://\S+);", sandbox.stdout)
        yield {"SIDECAR_BASE_URL": url, "SIDECAR_CREDENTIALS_DIR": str(tmp_path), "SIDECAR_CALL_BUDGET": "1000/60"}


def survey(environ: dict[str, str], *argv: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr."""
    with process("survey", *argv, environ=environ) as started:
        out, err = started.communicate()
    assert not any(secret in out + err for secret in SECRETS.values())
    return started.returncode, out, err


def test_it_prints_a_table_and_settings_that_can_be_used(environ: dict[str, str]) -> None:
    code, out, err = survey(environ, "--yes")
    assert code == 0
    assert "a GET must be signed" in out
    snippet = out.split("settings for the TOML file:", 1)[1]
    assert tomllib.loads(snippet)["gateway_sign"] == "all"
    assert err.splitlines()[0].startswith("Get two tokens.")


def test_it_prints_json_for_machines(environ: dict[str, str]) -> None:
    code, out, _ = survey(environ, "--yes", "--json")
    document = json.loads(out)
    assert (code, document["stopped"]) == (0, "")
    assert {"key": "refresh-auth", "what": "a refresh needs key and secret", "found": "no", "sure": "measured",
            "settings": {}} in document["findings"]  # fmt: skip


def test_without_an_answer_nothing_is_done(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "sidecar", "survey"]
    done = subprocess.run(command, env=environ, input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[1:]) == (1, [])


def test_the_production_url_needs_an_option_of_its_own(environ: dict[str, str]) -> None:
    del environ["SIDECAR_BASE_URL"]
    code, _, err = survey(environ, "--yes")
    assert code == 2
    assert "is the partner's production URL: set SIDECAR_BASE_URL, or give --production" in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--probe", "POST /x"), "--probe must be 'GET /path'"),
        (("--write", "GET /x", "a/b"), "--write must be 'POST /path'"),
        (("--watch",), "--watch needs --state FILE"),
        (("--profile", "other"), "--profile must be one of default"),
    ],
)
def test_options_that_cannot_be_used_are_told(environ: dict[str, str], argv: tuple[str, ...], said: str) -> None:
    code, _, err = survey(environ, *argv)
    assert code == 2
    assert said in err
