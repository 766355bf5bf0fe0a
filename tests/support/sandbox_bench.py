"""A sandbox on a real socket, and a partner client."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from sidecar.core.errors import PartnerError
from sidecar.core.model import Budget, Credentials, PartnerToken, Secret
from sidecar.partner.client import PartnerClient
from sidecar.partner.presets import PRESETS
from sidecar.partner.transport import open_session
from sidecar.sandbox import Sandbox, SandboxConfig
from tests.support.canary_call import always
from tests.support.hand_clock import HandClock

PAY1ST = PRESETS["pay1st"]
CREDENTIALS = Credentials(api_key=Secret("sandbox-key"), api_secret=Secret("sandbox-sécret"))
CONFIG = SandboxConfig(
    api_key=CREDENTIALS.api_key, api_secret=CREDENTIALS.api_secret, limit=Budget(1000, 60), token_mark="canary-"
)
BASIC = base64.b64encode("sandbox-key:sandbox-sécret".encode()).decode()


class Bench:
    """A running sandbox, its client, and plain requests that the client never sends."""

    def __init__(self, sandbox: Sandbox, url: str, session: aiohttp.ClientSession, clock: HandClock) -> None:
        self.sandbox, self.url, self.session, self.clock = sandbox, url, session, clock
        self.client = PartnerClient(PAY1ST, url, 5, session, clock)

    async def grant(self) -> PartnerToken:
        return await self.client.grant(CREDENTIALS, "API_USER", always)

    async def refresh(self, token: PartnerToken) -> PartnerToken:
        return await self.client.refresh(token.refresh or Secret(""), CREDENTIALS, "API_USER", always)

    async def failure(self) -> PartnerError:
        with pytest.raises(PartnerError) as caught:
            await self.grant()
        return caught.value

    async def request(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        data: str | None = None,
        json_body: object = None,
    ) -> tuple[int, dict[str, Any]]:
        content = data if json_body is None else json.dumps(json_body)
        async with self.session.request(method, self.url + path, headers=headers, data=content) as response:
            body = await response.read()
            return response.status, json.loads(body) if body else {}

    async def probe(self, token: PartnerToken) -> int:
        headers = {PAY1ST.token_header: f"Bearer {token.access.reveal()}"}
        return (await self.request("GET", PAY1ST.probe_path, headers=headers))[0]

    async def fault(self, **fault: object) -> None:
        status, _ = await self.request("POST", "/_sandbox/faults", json_body=fault)
        assert status == 204


@asynccontextmanager
async def open_bench(config: SandboxConfig) -> AsyncIterator[Bench]:
    clock = HandClock()
    sandbox = Sandbox(config, clock)
    url = await sandbox.start()
    async with open_session() as session:
        yield Bench(sandbox, url, session, clock)
    await sandbox.stop()
