"""The examples with a sidecar that has several partners: a client names a profile, and finds its partner's header."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.site import TOP
from tests.clients.test_examples import COMMANDS, Command
from tests.servers import RedisServer
from tests.support.replica import HANG_S, Replica
from tests.support.three_partners import PARTNERS, ThreePartners, three_partners


@pytest.fixture
async def partners(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[ThreePartners]:
    async with three_partners(tmp_path, redis_server) as scene:
        yield scene


async def run(command: Command, replica: Replica, **environ: str) -> tuple[int, str]:
    """Return exit code and stderr."""
    paths = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(TOP), "TOKEN_SIDECAR": replica.url}
    process = await asyncio.create_subprocess_exec(
        *command, env={**paths, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), HANG_S)
    assert process.returncode is not None
    return process.returncode, errors.decode()


@pytest.mark.parametrize("command", COMMANDS)
async def test_an_example_gets_the_token_of_the_named_profile_and_replaces_it(
    command: Command, partners: ThreePartners
) -> None:
    (replica,) = await partners.start(1)
    for profile, partner in PARTNERS.items():
        environ = {"TOKEN_SIDECAR_PROFILE": profile, "PARTNER_URL": partners.url(profile)}
        assert await run(command, replica, **environ) == (0, "")
        partners.sandboxes[profile].state.accounts[partner].revoke()
        assert await run(command, replica, **environ) == (0, "")
    assert [partners.issued(profile) for profile in PARTNERS] == [2, 2, 2]
    code, errors = await run(command, replica, PARTNER_URL=partners.url("payments"))
    assert (code, "unknown-profile" in errors) == (1, True)
