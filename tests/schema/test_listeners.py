"""Both listeners, called by schemathesis with requests that the document allows and others."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import aiohttp
import pytest

from sidecar.web.api.openapi import document
from tests.schema.whole_service import KEY, SECRET, whole_service

HERE = Path(__file__).parent
TOOL = (sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run")


@pytest.fixture(autouse=True)
def short_long_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit long polls to 10 ms, because schemathesis sends many of them with the longest wait."""
    monkeypatch.setattr("sidecar.web.api.token.MAX_WAIT_S", 0.01)


@pytest.fixture(autouse=True)
def scratch_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder for the files that the tool writes."""
    monkeypatch.chdir(tmp_path)


async def run_tool(location: str, url: str, *options: str) -> tuple[int, str]:
    """Run schemathesis with the listener at `url`; return its exit code and its report."""
    environ = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.schema.hooks", "PYTHONPATH": str(HERE.parents[1])}
    process = await asyncio.create_subprocess_exec(
        *TOOL,
        location,
        "--url",
        url,
        *options,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def reply_codes(admin: str) -> set[tuple[str, str]]:
    """Return (route, code) of all responses."""
    async with aiohttp.ClientSession() as session, session.get(f"{admin}/metrics") as response:
        text = await response.text()
    counted = re.findall(r'requests_total\{code="(.+?)",profile=".*?",route="(.+?)"\} ([0-9.]+)', text)
    return {(route, code) for code, route, times in counted if float(times)}


def cases(report: str) -> int:
    found = re.search(r"(\d+) generated, \1 passed", report)
    assert found, report
    return int(found[1])


async def test_the_vending_listener_conforms_to_the_document(tmp_path: Path) -> None:
    for name, text in (("api-key", KEY), ("api-secret", SECRET), ("signing-key", "schema-signing-key")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    async with whole_service(API_KEY="", API_SECRET="", CREDENTIALS_DIR=str(tmp_path)) as service:
        code, report = await run_tool(f"{service.vending}/openapi.json", service.vending, "--include-tag", "vending")
        assert code == 0, report
        assert cases(report) > 300
        signed = {code for route, code in await reply_codes(service.admin) if route == "sign"}
        assert {"ok", "bad-request", "unknown-profile"} <= signed
        assert "internal_failure" not in service.log.getvalue()


async def test_without_a_signing_key_it_conforms_to_the_document_too() -> None:
    async with whole_service() as service:
        few = ("--include-operation-id", "sign", "--max-examples", "5")
        code, report = await run_tool(f"{service.vending}/openapi.json", service.vending, *few)
        assert code == 0, report
        assert ("sign", "signing-not-configured") in await reply_codes(service.admin)


async def test_the_admin_listener_conforms_to_the_document() -> None:
    async with whole_service() as service:
        code, report = await run_tool(f"{service.vending}/openapi.json", service.admin, "--include-tag", "admin")
        assert code == 0, report
        assert cases(report) > 20


async def test_a_listener_with_a_caller_token_refuses_as_documented(tmp_path: Path) -> None:
    secret = tmp_path / "caller-token"
    secret.write_text("a-caller-token-of-some-length", encoding="utf-8")
    async with whole_service(CALLER_TOKEN_FILE=str(secret)) as service:
        few = ("--include-tag", "vending", "--max-examples", "3")
        code, report = await run_tool(f"{service.vending}/openapi.json", service.vending, *few)
        assert code == 0, report
        answered = await reply_codes(service.admin)
        assert ("token", "caller-not-allowed") in answered
        assert ("token", "ok") not in answered


async def test_a_wrong_document_is_detected(tmp_path: Path) -> None:
    whole = document()
    whole["components"]["schemas"]["Token"]["properties"]["expiresIn"] = {"type": "string"}
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    async with whole_service() as service:
        code, report = await run_tool(str(path), service.vending, "--include-operation-id", "getToken")
    assert (code, "Response violates schema" in report) == (1, True), report
