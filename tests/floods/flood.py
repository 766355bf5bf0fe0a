"""One flood against one sidecar: before, meanwhile and afterwards."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from sidecar.app.clock import SystemClock
from sidecar.sandbox import Sandbox
from tests.floods.good_caller import GoodCaller
from tests.support.processes import CONFIG, KEY, SECRET
from tests.support.replica import Replica, until
from tests.support.resident import resident_bytes


@dataclass(frozen=True)
class Flood:
    """The effects of one flood. Sizes are resident bytes; `peak_bytes` is the highest."""

    kind: str
    connections: int
    requests: int
    caller: GoodCaller
    before_bytes: int
    peak_bytes: int
    after_bytes: int
    log: Sequence[str]
    lasted_s: float
    open_at_most: int


@asynccontextmanager
async def victim(folder: Path) -> AsyncIterator[Replica]:
    """Start a sidecar with a store of its own, and wait for its token."""
    sandbox = Sandbox(CONFIG, SystemClock())
    environ = {
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
        "SIDECAR_BASE_URL": await sandbox.start(),
        "SIDECAR_API_KEY": KEY,
        "SIDECAR_API_SECRET": SECRET,
        "SIDECAR_DRAIN_S": "0",
    }
    async with aiohttp.ClientSession() as session:
        replica = Replica(session, environ, folder / "sidecar.log")
        try:
            await replica.listening()
            await until(replica.ready)
            yield replica
        finally:
            replica.kill()
            await sandbox.stop()


async def flood(
    replica: Replica, kind: str, *, seconds: float, connections: int, enough: int = 0, answers: int = 0
) -> Flood:
    """Run one attacker for this time and `enough` connections or requests, while a good caller sends requests.

    The flood goes on until the good caller has this many `answers`.
    """
    where = urlsplit(replica.url)
    host, port = str(where.hostname), int(where.port or 0)
    before, lines = resident_bytes(replica.process.pid), replica.output.count("\n")
    began = time.monotonic()
    _reset_peak(replica)
    attacker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.floods.attacker", kind, host, str(port), str(seconds), str(connections),
        str(enough),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert attacker.stdin is not None
    assert attacker.stdout is not None
    caller = GoodCaller(host, port)
    asking, attacking = asyncio.create_task(caller.ask()), asyncio.create_task(attacker.stdout.read())
    open_at_most = 0
    while not attacking.done():
        if len(caller.waits_s) >= answers:
            attacker.stdin.close()
        open_at_most = max(open_at_most, int(await replica.metric("connections", listener="vending")))
        await asyncio.wait({attacking}, timeout=0.5)
    caller.ends = True
    await asking
    done = json.loads(await attacking)
    await attacker.wait()
    return Flood(
        kind=kind,
        connections=done.get("connections", 0),
        requests=done.get("requests", 0),
        caller=caller,
        before_bytes=before,
        peak_bytes=_peak(replica),
        after_bytes=resident_bytes(replica.process.pid),
        log=replica.output.split("\n")[lines:-1],
        lasted_s=time.monotonic() - began,
        open_at_most=open_at_most,
    )


def _peak(replica: Replica) -> int:
    text = Path(f"/proc/{replica.process.pid}/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", text, re.MULTILINE)
    assert found, text
    return int(found[1]) * 1024


def _reset_peak(replica: Replica) -> None:
    Path(f"/proc/{replica.process.pid}/clear_refs").write_text("5")
