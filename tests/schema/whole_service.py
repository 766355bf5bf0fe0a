"""A whole sidecar with a simulated partner, on free ports of this machine."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sidecar.app.service import Service
from sidecar.config.load import load
from sidecar.core.model import Budget, Secret
from sidecar.sandbox import Sandbox, SandboxConfig
from tests.support.hand_clock import HandClock
from tests.support.partners import shipped

LIFETIME_S = 900
KEY, SECRET = "schema-key", "schema-secret"


@dataclass(frozen=True)
class WholeService:
    """`vending` and `admin` are URLs."""

    vending: str
    admin: str
    log: io.StringIO


@asynccontextmanager
async def whole_service(**settings: str) -> AsyncIterator[WholeService]:
    """Run a service that is ready, with an ample budget. `settings` are by name, without the prefix."""
    partner = SandboxConfig(api_key=Secret(KEY), api_secret=Secret(SECRET), limit=Budget(100_000, 60))
    sandbox = Sandbox(partner, HandClock())
    environ = {
        "LISTEN": "127.0.0.1:0",
        "ADMIN_LISTEN": "127.0.0.1:0",
        "BASE_URL": await sandbox.start(),
        "API_KEY": KEY,
        "API_SECRET": SECRET,
        "TOKEN_LIFETIME_S": str(LIFETIME_S),
        "CALL_BUDGET": "1000/1",
        "POLL_S": "0.05",
        **settings,
    }
    log = io.StringIO()
    presets = shipped(pay1st=environ["BASE_URL"])
    service = Service(load({f"SIDECAR_{name}": text for name, text in environ.items()}, presets), log=log)
    await service.start()
    try:
        yield WholeService(f"http://{service.bound[0]}", f"http://{service.admin_bound[0]}", log)
    finally:
        await service.stop()
        await sandbox.stop()
