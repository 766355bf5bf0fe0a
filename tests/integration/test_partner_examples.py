"""Each example of docs/partners.md, as processes: a sidecar, and a sandbox that plays the table strictly."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sidecar.client.aiohttp import SidecarAuth
from sidecar.core.partner_table import PartnerTable
from tests.servers import free_port
from tests.support.commands import START_LIMIT_S, process, wait_for
from tests.support.partner_examples import EXAMPLES, PAGE, Example
from tests.support.replica import CALLER, HANG_S, PATIENT_S, Replica, until

KEY, SECRET, SIGNING_KEY = "canary-key-4711", "canary-secret-4711", "canary-signing-4711"
STEPS = re.findall(r"((?:^    .*\n)+)", PAGE.split("## 3. Try it", 1)[1].split("## 4.", 1)[0], re.MULTILINE)
"""The blocks of commands."""
BODY = b'{"order": "4711", "amount": 100}'


class Scene:
    """One example at work. `partner` sends a request to the sandbox as an app does."""

    def __init__(self, example: Example, folder: Path, partner_url: str, session: aiohttp.ClientSession) -> None:
        self.folder, self.partner_url, self.session = folder, partner_url, session
        self.table: PartnerTable = example.table(folder)
        self.settings = {
            "SIDECAR_CONFIG": str(example.written(folder)),
            "SIDECAR_BASE_URL": partner_url,
            "SIDECAR_CREDENTIALS_DIR": str(folder),
            "SIDECAR_LISTEN": "127.0.0.1:0",
            "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
            "SIDECAR_GATEWAY_LISTEN": "127.0.0.1:0",
            "SIDECAR_CALL_BUDGET": "1000/1",
            "SIDECAR_PARTNER_TIMEOUT_S": str(PATIENT_S),
            "SIDECAR_REQUEST_TIMEOUT_S": str(PATIENT_S),
            "SIDECAR_DRAIN_S": "0",
        }
        self.started: list[Replica] = []

    @property
    def replica(self) -> Replica:
        return self.started[0]

    async def start(self, **settings: str) -> None:
        self.started.append(Replica(self.session, self.settings | settings, self.folder / "sidecar.log"))
        await self.replica.listening()
        await until(self.replica.ready)

    @property
    def gateway_url(self) -> str:
        return f"http://{self.replica.events('service_started')[0]['gateways'][0]}"

    async def partner(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, dict[str, Any]]:
        return await self.send(method, self.partner_url + path, headers, body)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, dict[str, Any]]:
        async with self.session.request(method, url, headers=headers, data=body) as response:
            content = await response.read()
            return response.status, json.loads(content) if content else {}

    async def counts(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = (await self.partner("GET", "/_sandbox/stats"))[1]["counts"]
        return found

    async def header(self) -> dict[str, str]:
        """Return the header that an app sends to the partner, as `/v1/authorize` gives it."""
        answer = await self.replica.ask("/v1/authorize")
        assert answer.status == 200
        name, scheme = self.table.token_header, self.table.token_scheme
        assert answer.headers.get("Token-Header") == (None if scheme == "Bearer" else name)
        assert answer.headers[name].startswith(f"{scheme} " if scheme else "")
        return {name: answer.headers[name]}

    @property
    def writes(self) -> str:
        """A path that takes a signed POST."""
        return next(rule.removeprefix("POST ") for rule in self.table.gateway_allow if rule.startswith("POST "))


@asynccontextmanager
async def scene(name: str, folder: Path, *options: str) -> AsyncIterator[Scene]:
    for file, text in (("api-key", KEY), ("api-secret", SECRET), ("signing-key", SIGNING_KEY)):
        (folder / file).write_text(text)
    example = EXAMPLES[name]
    arguments = ("sandbox", "--partner", name, "--listen", "127.0.0.1:0", "--rate", "1000/1")
    environ = {"SIDECAR_CONFIG": str(example.written(folder))}
    with process(*arguments, "--credentials-dir", str(folder), *options, environ=environ) as sandbox:
        url = wait_for(r"(http://\S+);", sandbox.stdout)
        async with aiohttp.ClientSession() as session:
            made = Scene(example, folder, url, session)
            try:
                yield made
            finally:
                for replica in made.started:
                    replica.kill()
                    assert "canary" not in replica.output


@pytest.mark.parametrize("name", EXAMPLES)
async def test_a_token_is_vended_and_the_partner_accepts_its_header(name: str, tmp_path: Path) -> None:
    async with scene(name, tmp_path) as acme:
        await acme.start()
        token = (await acme.replica.ask()).body
        assert (token["lifetime"], 0 < token["expiresIn"] <= 900) == ("declared", True)
        header = await acme.header()
        assert header[acme.table.token_header].endswith(token["accessToken"])
        assert (await acme.partner("GET", acme.table.probe_path, header))[0] == 200
        assert (await acme.partner("GET", acme.table.probe_path, {"Authorization": "Bearer x"}))[0] == 401
        async with (
            aiohttp.ClientSession(middlewares=[SidecarAuth(acme.replica.url)]) as app,
            app.get(acme.partner_url + acme.table.probe_path) as response,
        ):
            assert response.status == 200
        assert (await acme.counts())["grant"] == {"200": 1}


@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_token_is_refreshed_before_it_ends(name: str, tmp_path: Path) -> None:
    async with scene(name, tmp_path, "--token-lifetime", "4") as acme:
        await acme.start(SIDECAR_REFRESH_AT="0.3")
        can_refresh = bool(acme.table.refresh_path)

        async def refreshed() -> bool:
            counts = await acme.counts()
            return (counts["refresh"] if can_refresh else counts["grant"]).get("200", 0) >= 2

        await until(refreshed)
        counts = await acme.counts()
        assert {status for each in (counts["grant"], counts["refresh"]) for status in each} == {"200"}
        assert bool(counts["refresh"]) == can_refresh


@pytest.mark.parametrize("name", EXAMPLES)
async def test_a_rejected_token_is_replaced_once(name: str, tmp_path: Path) -> None:
    async with scene(name, tmp_path) as acme:
        await acme.start()
        before = await acme.header()
        first = (await acme.replica.ask()).token_id
        assert await acme.replica.report(first) == "refreshing"
        await acme.replica.report(first)
        await until(lambda: len(acme.replica.events("partner_called")) == 2)
        second = await acme.replica.ask()
        assert second.token_id != first
        assert (await acme.header()) != before
        counts = await acme.counts()
        assert counts["grant"].get("200", 0) + counts["refresh"].get("200", 0) == 2


@pytest.mark.parametrize("name", EXAMPLES)
async def test_a_throttled_sidecar_calls_no_more_and_keeps_its_token(name: str, tmp_path: Path) -> None:
    async with scene(name, tmp_path) as acme:
        await acme.start()
        fault = {"fault": "status", "status": 429, "retry_after": "3600", "count": 0}
        assert (await acme.partner("POST", "/_sandbox/faults", body=json.dumps(fault).encode()))[0] == 204
        token_id = (await acme.replica.ask()).token_id
        await acme.replica.report(token_id)
        await until(lambda: len(acme.replica.events("partner_called")) == 2)
        answer = await acme.replica.ask()
        assert (answer.token_id, answer.body["suspect"]) == (token_id, True)
        await acme.replica.report(token_id)
        counts = await acme.counts()
        assert sum(each.get("429", 0) for each in (counts["grant"], counts["refresh"])) == 1


@pytest.mark.parametrize("name", [name for name, one in EXAMPLES.items() if "\nsign = " in one.text])
async def test_requests_are_signed_for_the_app_and_by_the_gateway(name: str, tmp_path: Path) -> None:
    async with scene(name, tmp_path) as acme:
        await acme.start()
        unsigned = await acme.header()
        status, document = await acme.partner("POST", acme.writes, unsigned, BODY)
        assert (status, document["errorCode"]) == (400, "SANDBOX-SIGNATURE-MISSING")
        answer = await acme.replica.post("/v1/sign", data=BODY)
        signed = answer.body["headers"]
        assert answer.headers["Token-Header"] == acme.table.token_header
        assert unsigned.items() <= signed.items()
        assert (await acme.partner("POST", acme.writes, signed, BODY))[0] == 201
        assert (await acme.partner("POST", acme.writes, signed, BODY + b" "))[0] == 400
        status, document = await acme.send("POST", acme.gateway_url + acme.writes, CALLER, BODY)
        assert (status, document) == (201, {"method": "POST", "path": acme.writes, "bytes": len(BODY)})
        assert (await acme.send("POST", acme.gateway_url + acme.table.token_path, CALLER, BODY))[0] == 403
        journal = (await acme.partner("GET", "/_sandbox/journal"))[1]
        sent = [each["signature"] for each in journal["requests"] if each["path"] == acme.writes]
        assert sent == ["missing", "valid", "wrong", "valid"]


@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_gateway_needs_no_token_of_the_app(name: str, tmp_path: Path) -> None:
    async with scene(name, tmp_path) as acme:
        await acme.start()
        reads = next(rule for rule in acme.table.gateway_allow if rule.startswith("GET "))
        path = reads.removeprefix("GET ").replace("*", "x")
        status, document = await acme.send("GET", acme.gateway_url + path, CALLER)
        assert (status, document) == (200, {"method": "GET", "path": path, "bytes": 0})


@pytest.mark.parametrize("name", EXAMPLES)
async def test_a_live_check_gets_a_token_and_wrong_credentials_are_told(name: str, tmp_path: Path) -> None:
    async with scene(name, tmp_path) as acme:
        for secret, code, said in ((SECRET, 0, "new, from the partner"), ("canary-wrong", 1, "(credentials-rejected)")):
            (tmp_path / "api-secret").write_text(secret)
            with process("check", "--live", environ=acme.settings) as check:
                out, err = check.communicate(timeout=START_LIMIT_S)
            assert (check.returncode, said in out, err) == (code, True, ""), out
            assert "canary" not in out


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_steps_of_the_page_end_with_a_token(name: str, tmp_path: Path) -> None:
    """The commands as the page has them, but for the port and for the sandbox in the background."""
    (tmp_path / f"{name}.toml").write_text(EXAMPLES[name].text)
    first, second = (re.sub(r" *#.*", "", block) for block in STEPS)
    listen = f"127.0.0.1:{free_port()}"
    script = f"""set -e
        trap 'kill $!' EXIT
        {first.replace("--partner acme", f"--partner acme --listen {listen} > started 2>&1 &")}
        until grep -qs listens started; do sleep 0.05; done
        {second.replace("127.0.0.1:8080", listen).replace("token-sidecar serve", "")}
    """.replace("acme", name)
    (command := tmp_path / "token-sidecar").write_text(f"#!/bin/sh\nexec '{sys.executable}' -m sidecar \"$@\"\n")
    command.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.defpath}", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("token request of profile default: POST ") == 2
    assert "new, from the partner; token id" in done.stdout
    assert "FAILED" not in done.stdout
