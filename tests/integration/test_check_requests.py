"""The token requests that `check` shows: what the partner would get, without any secret."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.app.check import check
from sidecar.app.running import load_settings

CANARIES = ("canary-key", "canary-secret", "canary-signing", "canary-header", "canary-field", "canary-refresh")
TABLE = """
[profiles.acme]
partner = "acme"
base_url = "https://api.acme.example/x/"
credentials_dir = "{folder}"
role = "MERCHANT"

[partners.acme]
token_path = "/v2/session"
role_field = "role"
refresh_path = "/v2/renew"
refresh_field = "data.renewal"
refresh_fields = {{ how = "again", client_secret = "canary-refresh" }}
"""
CONSTANTS = """
fields = { audience = "payments", password = "canary-field", n = 5 }
headers = { X-Version = "2", Ocp-Apim-Subscription-Key = "canary-header" }
"""
AUTHS = {
    "basic": "",
    "form": 'request = "form"',
    "body": 'client_auth = "body"\nkey_field = "id"\nsecret_field = "password2"',
    "header": 'client_auth = "header"\nkey_header = "X-Id"\nsecret_header = "Authorization"',
    "oauth2": 'oauth2 = true\nrequest = "form"',
    "private_key_jwt": 'client_auth = "private_key_jwt"\nrequest = "form"',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("api-key", "api-secret", "signing-key"):
        (tmp_path / name).write_text(f"canary-{name.split('-')[-1] if name != 'signing-key' else 'signing'}")
    return tmp_path


def config(folder: Path, text: str) -> Path:
    (file := folder / "sidecar.toml").write_text(TABLE.format(folder=folder) + text)
    return file


async def shown(file: Path) -> dict[str, list[str]]:
    lines = await check(load_settings({"SIDECAR_CONFIG": str(file)}), live=False)
    assert not any(canary in repr(lines) for canary in CANARIES)
    return {line.what: line.detail.split("\n") for line in lines if "request of" in line.what}


async def test_method_url_headers_and_body_are_shown(folder: Path) -> None:
    found = await shown(config(folder, CONSTANTS))
    assert found == {
        "token request of profile acme": [
            "POST https://api.acme.example/x/v2/session",
            "Content-Type: application/json",
            "X-Version: 2",
            "Ocp-Apim-Subscription-Key: ***",
            "Authorization: Basic ***",
            '{"audience": "payments", "password": "***", "n": 5, "role": "MERCHANT"}',
        ],
        "refresh request of profile acme": [
            "POST https://api.acme.example/x/v2/renew",
            "Content-Type: application/json",
            "Authorization: Basic ***",
            '{"how": "again", "client_secret": "***", "role": "MERCHANT", "renewal": "***"}',
        ],
    }


async def test_a_request_without_a_body_says_so(folder: Path) -> None:
    text = f'[profiles.a]\npartner = "a"\nbase_url = "http://127.0.0.1:1"\ncredentials_dir = "{folder}"\n'
    (file := folder / "sidecar.toml").write_text(text + '[partners.a]\ntoken_path = "/t"\nrequest = "form"\n')
    assert (await shown(file))["token request of profile a"][-1] == "(no body)"


@pytest.mark.parametrize("auth", AUTHS)
def test_no_secret_leaves_wherever_the_table_puts_it(folder: Path, auth: str) -> None:
    constants = CONSTANTS.replace("{ audience", '{ grant_type = "client_credentials", audience')
    file = config(folder, AUTHS[auth] + constants)
    file.write_text(file.read_text().replace('how = "again"', 'grant_type = "refresh_token"'))
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", "check"],
        env={"PATH": "/usr/bin:/bin", "SIDECAR_CONFIG": str(file)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    printed = done.stdout + done.stderr
    assert "token request of profile acme: POST https://api.acme.example/x/v2/session\n" in printed
    assert "\n         Content-Type: application/" in printed
    assert "canary" not in printed
    assert printed.count("***") >= 5
