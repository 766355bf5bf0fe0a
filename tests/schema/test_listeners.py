"""Both listeners, asked by schemathesis all that the document allows and much that it does not."""

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
from tests.schema.whole_service import whole_service

HERE = Path(__file__).parent
TOOL = (sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run")


@pytest.fixture(autouse=True)
def short_long_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked for more than once, and for as long as may be."""
    monkeypatch.setattr("sidecar.web.api.token.MAX_WAIT_S", 0.01)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tool leaves files where it runs."""
    monkeypatch.chdir(tmp_path)


async def asked(location: str, url: str, *options: str) -> tuple[int, str]:
    """What schemathesis says of the listener at `url`: its exit code and its report."""
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
    """(route, code) of the answers there were."""
    async with aiohttp.ClientSession() as session, session.get(f"{admin}/metrics") as response:
        text = await response.text()
    counted = re.findall(r'requests_total\{code="(.+?)",profile=".*?",route="(.+?)"\} ([0-9.]+)', text)
    return {(route, code) for code, route, times in counted if float(times)}


def cases(report: str) -> int:
    found = re.search(r"(\d+) generated, \1 passed", report)
    assert found, report
    return int(found[1])


async def test_the_vending_listener_answers_as_the_document_says() -> None:
    async with whole_service() as service:
        code, report = await asked(f"{service.vending}/openapi.json", service.vending, "--include-tag", "vending")
        assert code == 0, report
        assert cases(report) > 300
        assert "internal_failure" not in service.log.getvalue()


async def test_the_admin_listener_answers_as_the_document_says() -> None:
    async with whole_service() as service:
        code, report = await asked(f"{service.vending}/openapi.json", service.admin, "--include-tag", "admin")
        assert code == 0, report
        assert cases(report) > 20


async def test_a_listener_that_asks_for_a_caller_token_refuses_as_the_document_says(tmp_path: Path) -> None:
    secret = tmp_path / "caller-token"
    secret.write_text("a-caller-token-of-some-length", encoding="utf-8")
    async with whole_service(CALLER_TOKEN_FILE=str(secret)) as service:
        few = ("--include-tag", "vending", "--max-examples", "3")
        code, report = await asked(f"{service.vending}/openapi.json", service.vending, *few)
        assert code == 0, report
        answered = await reply_codes(service.admin)
        assert ("token", "caller-not-allowed") in answered
        assert ("token", "ok") not in answered


async def test_a_document_that_says_something_else_is_found(tmp_path: Path) -> None:
    whole = document()
    whole["components"]["schemas"]["Token"]["properties"]["expiresIn"] = {"type": "string"}
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(whole), encoding="utf-8")
    async with whole_service() as service:
        code, report = await asked(str(path), service.vending, "--include-operation-id", "getToken")
    assert (code, "Response violates schema" in report) == (1, True), report
