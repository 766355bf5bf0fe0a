"""Two real sidecars with five profiles: a quiet beginning, then a trouble of its own for each profile, then the
store is gone, and then they are."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sidecar.app.clock import SystemClock
from sidecar.sandbox import Sandbox
from sidecar.sandbox.faults import Fault
from tests.monitoring.prometheus import STEP_S, Prometheus
from tests.servers import RedisServer, free_port
from tests.support.hanging_folder import HangingFolder, mount
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.replica import Replica, until

ASKED_EVERY_S = 0.2
ENOUGH_LOOKS = 5
"""For an alert that wants more than a moment's absence."""
REFUSED_AT_ONCE = 20
"""Requests of an app that forgot the header; it makes more until they outnumber the good ones by far."""
PROFILES = {
    "down": 'token_lifetime_s = 4\nrefresh_at = 0.5\npartner_timeout_s = 0.5\nmax_stale_s = 0\ncall_budget = "60/60"',
    "locked": "",
    "spent": 'call_budget = "3/600"\nsink_file = "{folder}/sink/token"',
    "throttled": "",
    "sealed": "",
}
"""Each with what it is set to beside the defaults."""
STATUSES = {"down": 500, "locked": 401, "throttled": 429}
"""What the partner of a profile answers from the end of the quiet on."""


@dataclass(frozen=True)
class Day:
    """When it was what; the spans are UTC epoch seconds. `prometheus` still answers."""

    prometheus: Prometheus
    quiet: tuple[float, float]
    faults: tuple[float, float]
    file_system_hung: bool
    """Whether one could be mounted that hangs."""

    @property
    def whole(self) -> tuple[float, float]:
        return self.quiet[0], self.faults[1]


@asynccontextmanager
async def _partners() -> AsyncIterator[dict[str, tuple[Sandbox, str]]]:
    """One for each profile, with its address: a fault is one profile's alone."""
    async with AsyncExitStack() as stack:
        found = {}
        for profile in PROFILES:
            sandbox = Sandbox(CONFIG, SystemClock())
            found[profile] = sandbox, await sandbox.start()
            stack.push_async_callback(sandbox.stop)
        yield found


def _launch(fleet: Fleet, urls: dict[str, str], number: int, admin: str) -> Replica:
    folder = fleet.folder / f"pod-{number}"
    (folder / "sink").mkdir(parents=True)
    config = folder / "sidecar.toml"
    for name, settings in PROFILES.items():
        folder_name = "held-credentials" if name == "locked" else "credentials"
        common = f'credentials_dir = "{fleet.folder}/{folder_name}"'
        own = settings.replace("{folder}", str(folder))
        with config.open("a") as file:
            file.write(f'[profiles.{name}]\nbase_url = "{urls[name]}"\n{common}\n{own}\n')
    seal_key = _seal_key_file(fleet, number)
    shutil.copy(fleet.folder / "seal-key", seal_key)
    return fleet.launch(
        CONFIG=str(config), SEAL_KEY_FILE=str(seal_key), ADMIN_LISTEN=admin, POLL_S="0.3", REQUEST_TIMEOUT_S="0.3"
    )


async def _ask_all_day(replicas: list[Replica]) -> None:
    """The apps, one for each profile at each replica; none waits for another's answer."""

    async def ask(replica: Replica, profile: str) -> None:
        while True:
            await replica.ask(f"/v1/token/{profile}")
            await asyncio.sleep(ASKED_EVERY_S)

    await asyncio.gather(*(ask(replica, profile) for replica in replicas for profile in PROFILES))


async def _seen(prometheus: Prometheus, looks: int) -> None:
    """So many more scrapes of each."""
    began = time.time()
    expr = f"count_over_time(token_sidecar_build_info[1h]) >= {looks}"

    def all_looked() -> bool:
        since = f"{max(1, round((time.time() - began) * 1000))}ms"
        return len(prometheus.now(expr.replace("1h", since))) == 2

    await until(all_looked)


async def _everything_fails(fleet: Fleet, partners: dict[str, tuple[Sandbox, str]], replica: Replica) -> None:
    for profile, status in STATUSES.items():
        fault = Fault(fault="status", status=status, retry_after="60" if status == 429 else None, count=0)
        partners[profile][0].state.faults.add(fault)
    for number in range(2):
        shutil.rmtree(fleet.folder / f"pod-{number}/sink")
    for profile in ("locked", "spent", "throttled"):
        await _report(replica, profile)
    while await replica.metric("requests_total", code="header-required") < 4 * await replica.metric(
        "requests_total", code="ok"
    ):
        answers = await asyncio.gather(*(replica.ask(headers={}) for _ in range(REFUSED_AT_ONCE)))
        assert {answer.code for answer in answers} == {"header-required"}

    async def all_felt() -> bool:
        return (
            await replica.metric("credentials_valid", profile="locked") == 0
            and await replica.metric("cooldown_until_timestamp_seconds", profile="throttled") > time.time()
            and await replica.metric("sink_errors_total", profile="spent") > 1
            and await replica.metric("token_expiry_timestamp_seconds", profile="down") < time.time()
        )

    await until(all_felt)


async def _report(replica: Replica, profile: str) -> None:
    held = (await replica.ask(f"/v1/token/{profile}")).token_id
    answer = await replica.post(f"/v1/token/{profile}/rejected", json={"tokenId": held})
    assert answer.body["verdict"] == "refreshing"


async def _use_two_seal_keys(fleet: Fleet, replicas: list[Replica]) -> None:
    """The second replica gets another key, and seals a token with it that the first cannot open."""
    reading, sealing = replicas
    _seal_key_file(fleet, 1).write_bytes(base64.b64encode(os.urandom(32)))
    await until(lambda: bool(sealing.events("seal_keys_changed")))
    await _report(sealing, "sealed")

    async def noticed() -> bool:
        return await reading.metric("stored_token_unreadable", profile="sealed") == 1

    await until(noticed)


def _seal_key_file(fleet: Fleet, number: int) -> Path:
    return fleet.folder / f"pod-{number}/seal-key"


async def live_through(folder: Path, redis: RedisServer, stack: AsyncExitStack) -> Day:
    """`stack` ends everything but Prometheus, which it leaves running."""
    fleet = await stack.enter_async_context(open_fleet(folder, redis))
    partners = await stack.enter_async_context(_partners())
    # Each profile has its own.
    del fleet.settings["SIDECAR_BASE_URL"], fleet.settings["SIDECAR_CREDENTIALS_DIR"]
    admins = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    prometheus = Prometheus(folder, admins)
    urls = {name: url for name, (_, url) in partners.items()}
    held = _held_credentials(fleet, stack)
    replicas = [_launch(fleet, urls, number, admin) for number, admin in enumerate(admins)]
    try:
        quiet_from, faults_from = await _watched(fleet, partners, prometheus, replicas, held)
    except BaseException:
        prometheus.stop()
        raise
    # Its last look may be a moment younger than the last step of a query before now.
    return Day(prometheus, (quiet_from, faults_from), (faults_from, time.time() + STEP_S), held is not None)


def _held_credentials(fleet: Fleet, stack: AsyncExitStack) -> HangingFolder | None:
    """Credentials in a folder that can hang; in a plain one where none can be mounted."""
    folder = mount(fleet.folder / "held-credentials")
    if folder is not None:
        stack.callback(folder.close)
    place = fleet.folder / "held-credentials" if folder is None else folder.real
    shutil.copytree(fleet.folder / "credentials", place, dirs_exist_ok=True)
    return folder


async def _watched(
    fleet: Fleet,
    partners: dict[str, tuple[Sandbox, str]],
    prometheus: Prometheus,
    replicas: list[Replica],
    held: HangingFolder | None,
) -> tuple[float, float]:
    """The whole day; when the quiet and when the faults began."""
    for replica in replicas:
        await replica.listening()
        await until(replica.ready)
    asking = asyncio.create_task(_ask_all_day(replicas))
    try:
        await until(prometheus.is_ready)
        await until(lambda: len(prometheus.now("token_sidecar_build_info")) == 2)
        await _seen(prometheus, ENOUGH_LOOKS)
        quiet_from = time.time()
        await _seen(prometheus, 3)
        faults_from = time.time()
        await _everything_fails(fleet, partners, replicas[0])
        await _use_two_seal_keys(fleet, replicas)
        if held is not None:
            held.hang()
            await until(lambda: all(replica.events("file_stalled") for replica in replicas))
        await _seen(prometheus, 2)
        fleet.redis.stop()
        await until(lambda: all(replica.events("store_failed") for replica in replicas))
        await _seen(prometheus, 2)
        assert not asking.done()
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    for replica in replicas:
        replica.kill()
    await until(lambda: len(prometheus.now(f"count_over_time((up == 0)[1m:500ms]) >= {ENOUGH_LOOKS}")) == 2)
    return quiet_from, faults_from
