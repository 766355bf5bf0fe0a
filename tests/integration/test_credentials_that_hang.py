"""A whole sidecar whose credentials are on a file system that hangs."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import aiohttp
import pytest

from sidecar import file_operations
from sidecar.core.model import Credentials
from sidecar.credentials.directory import DirectoryCredentials
from sidecar.vending import refresher
from tests.schema.whole_service import KEY, SECRET, whole_service


async def test_a_sidecar_vends_and_answers_probes_while_its_credentials_hang_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "api-key").write_text(KEY)
    (tmp_path / "api-secret").write_text(SECRET)
    answers, hangs, read = threading.Event(), threading.Event(), DirectoryCredentials.read
    answers.set()

    def read_when_it_answers(source: DirectoryCredentials) -> Credentials:
        if not answers.is_set():
            hangs.set()
        answers.wait()
        return read(source)

    async def said(*, credentials_valid: int, file_stalled: int) -> None:
        lines = (
            f'token_sidecar_credentials_valid{{profile="default"}} {credentials_valid}.0',
            f'token_sidecar_file_stalled{{file="credentials"}} {file_stalled}.0',
        )
        metrics = ""
        while not all(line in metrics for line in lines):
            metrics = await text(f"{service.admin}/metrics")

    async def text(url: str) -> str:
        async with http.get(url, headers={"Sidecar-Request": "true"}) as answer:
            assert answer.status == 200
            return await answer.text()

    monkeypatch.setattr(DirectoryCredentials, "read", read_when_it_answers)
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.5)
    monkeypatch.setattr(refresher, "CREDENTIALS_LOOK_S", 0.01)
    settings = {"API_KEY": "", "API_SECRET": "", "CREDENTIALS_DIR": str(tmp_path)}
    async with whole_service(**settings) as service, aiohttp.ClientSession() as http:
        await text(f"{service.vending}/v1/token")
        try:
            answers.clear()
            await said(credentials_valid=0, file_stalled=1)
            assert hangs.is_set()
            await text(f"{service.vending}/v1/token")
            for path in ("livez", "readyz"):
                await text(f"{service.admin}/{path}")
            status = await text(f"{service.admin}/status.json")
            assert f"{tmp_path}: not read within 0.5 s, the file system hangs" in status
            assert json.loads(status)["profiles"]["default"]["stalledFiles"] == ["credentials"]
            assert "the file system does not respond for the credentials" in await text(f"{service.admin}/status")
        finally:
            answers.set()
        await said(credentials_valid=1, file_stalled=0)
    lines = [json.loads(line) for line in service.log.getvalue().splitlines()]
    told = [(line["event"], line["profile"]) for line in lines if line.get("file") == "credentials"]
    assert told[:2] == [("file_stalled", "default"), ("file_stall_ended", "default")]
