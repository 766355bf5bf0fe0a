"""Two real sidecars with six profiles: first without faults, then with another fault for each profile, then without
a store. At the end both sidecars are killed."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sidecar.app.clock import SystemClock
from sidecar.sandbox import Sandbox
from sidecar.sandbox.faults import Fault
from tests.monitoring.payments import pay, payments_fail
from tests.monitoring.prometheus import SCRAPE_S, STEP_S, Prometheus
from tests.servers import RedisServer, free_port
from tests.support.hanging_folder import HangingFolder, mount
from tests.support.processes import CONFIG, KEY, SECRET, Fleet, open_fleet
from tests.support.replica import Replica, until
from tests.support.wall_clock import WallClock

ASKED_EVERY_S = 0.2
ENOUGH_LOOKS = 5
"""Enough for an alert that fires only after an absence of some time."""
REDIS_BEHIND_S = 1200
"""Sidecars show times of their machine's clock, which Prometheus has too. No alert may depend on the clock of Redis."""
REFUSED_AT_ONCE = 100
"""Requests at once of an app without the header, repeated until there are four times as many as good ones."""
PROFILES = {
    "down": 'token_lifetime_s = 4\nrefresh_at = 0.5\npartner_timeout_s = 0.5\nmax_stale_s = 0\ncall_budget = "60/60"',
    "locked": "",
    "spent": 'call_budget = "3/600"\nsink_file = "{folder}/sink/token"',
    "throttled": "",
    "sealed": "",
    "paying": 'gateway_listen = "127.0.0.1:0"',
}
"""The settings of each profile that differ from the defaults."""
PARTNER_AHEAD_S = 90
"""The clock of the profile `down`'s partner from the end of the quiet on."""
STATUSES = {"down": 500, "locked": 401, "throttled": 429}
"""The status that the partner of a profile returns from the end of the quiet time on."""


@dataclass(frozen=True)
class FaultRun:
    """The times of the run as UTC epoch seconds. `prometheus` still runs."""

    prometheus: Prometheus
    quiet: tuple[float, float]
    faults: tuple[float, float]
    file_system_hung: bool
    """Whether a file system that hangs could be mounted."""

    @property
    def whole(self) -> tuple[float, float]:
        return self.quiet[0], self.faults[1]


@asynccontextmanager
async def _partners() -> AsyncIterator[dict[str, tuple[Sandbox, str]]]:
    """Start one partner for each profile, with its address, so that a fault affects one profile only."""
    async with AsyncExitStack() as stack:
        found = {}
        for profile in PROFILES:
            sandbox = Sandbox(CONFIG, SystemClock())
            found[profile] = sandbox, await sandbox.start()
            stack.push_async_callback(sandbox.stop)
        yield found


def _launch(fleet: Fleet, urls: dict[str, str], number: int, admin: str, profiles: Iterable[str] = PROFILES) -> Replica:
    folder = fleet.folder / f"pod-{number}"
    (folder / "sink").mkdir(parents=True)
    config = folder / "sidecar.toml"
    for name in profiles:
        folder_name = "held-credentials" if name == "locked" else "credentials"
        common = f'credentials_dir = "{fleet.folder}/{folder_name}"'
        own = PROFILES[name].replace("{folder}", str(folder))
        with config.open("a") as file:
            file.write(f'[profiles.{name}]\nbase_url = "{urls[name]}"\n{common}\n{own}\n')
    seal_key = _seal_key_file(fleet, number)
    shutil.copy(fleet.folder / "seal-key", seal_key)
    return fleet.launch(
        CONFIG=str(config), SEAL_KEY_FILE=str(seal_key), ADMIN_LISTEN=admin, POLL_S="0.3", REQUEST_TIMEOUT_S="0.3"
    )


async def _ask_all_day(fleet: Fleet, replicas: list[Replica]) -> None:
    """Run the apps, one for each profile and replica. None waits for the response of another one."""

    async def ask(replica: Replica, profile: str) -> None:
        while True:
            await replica.ask(f"/v1/token/{profile}")
            await asyncio.sleep(ASKED_EVERY_S)

    async def buy(replica: Replica) -> None:
        while True:
            await pay(fleet.session, replica)
            await asyncio.sleep(ASKED_EVERY_S)

    await asyncio.gather(*(ask(replica, profile) for replica in replicas for profile in PROFILES), *map(buy, replicas))


async def _seen(prometheus: Prometheus, looks: int) -> None:
    """Wait for this many more scrapes of each replica."""
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
    down = partners["down"][0].state
    down.config = replace(down.config, clock_offset_s=PARTNER_AHEAD_S)
    for number in range(2):
        shutil.rmtree(fleet.folder / f"pod-{number}/sink")
    for profile in ("locked", "spent", "throttled"):
        await _report(replica, profile)
    while await replica.metric("requests_total", code="header-required") < 4 * await replica.metric(
        "requests_total", code="ok"
    ):
        answers = await asyncio.gather(*(replica.ask(headers={}) for _ in range(REFUSED_AT_ONCE)))
        assert {answer.code for answer in answers} == {"header-required"}

    async def all_have_effect() -> bool:
        return (
            await replica.metric("credentials_valid", profile="locked") == 0
            and await replica.metric("cooldown_until_timestamp_seconds", profile="throttled") > time.time()
            and await replica.metric("sink_errors_total", profile="spent") > 1
            and await replica.metric("token_expiry_timestamp_seconds", profile="down") < time.time()
        )

    await until(all_have_effect)


async def _report(replica: Replica, profile: str) -> None:
    held = (await replica.ask(f"/v1/token/{profile}")).token_id
    answer = await replica.post(f"/v1/token/{profile}/rejected", json={"tokenId": held})
    assert answer.body["verdict"] == "refreshing"


async def _clock_is_off(replicas: list[Replica]) -> bool:
    return max([await replica.metric("partner_clock_offset_seconds", profile="down") for replica in replicas]) > 60


async def _use_two_seal_keys(fleet: Fleet, replicas: list[Replica]) -> None:
    """The second replica gets another key, and seals a token with it that the first cannot decrypt."""
    reading, sealing = replicas
    _seal_key_file(fleet, 1).write_bytes(base64.b64encode(os.urandom(32)))
    await until(lambda: bool(sealing.events("seal_keys_changed")))
    await _report(sealing, "sealed")

    async def is_unreadable() -> bool:
        return await reading.metric("stored_token_unreadable", profile="sealed") == 1

    await until(is_unreadable)


def _seal_key_file(fleet: Fleet, number: int) -> Path:
    return fleet.folder / f"pod-{number}/seal-key"


async def run_faults(folder: Path, redis: RedisServer, clock: WallClock, stack: AsyncExitStack) -> FaultRun:
    """Run everything. `clock` is that of Redis, `OLD_TOKEN_S` too far behind. `stack` ends all but Prometheus."""
    fleet = await stack.enter_async_context(open_fleet(folder, redis))
    fleet.mount(KEY, SECRET, **{"signing-key": "the-signing-key"})
    partners = await stack.enter_async_context(_partners())
    # Each profile has its own URL and credentials.
    del fleet.settings["SIDECAR_BASE_URL"], fleet.settings["SIDECAR_CREDENTIALS_DIR"]
    admins = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    prometheus = Prometheus(folder, admins)
    urls = {name: url for name, (_, url) in partners.items()}
    held = _held_credentials(fleet, stack)
    first = _launch(fleet, urls, 2, "127.0.0.1:0", ["paying"])
    await first.listening()
    await until(first.ready)
    first.kill()
    # Its token is old once the next sidecars start.
    clock.step(-REDIS_BEHIND_S)
    replicas = [_launch(fleet, urls, number, admin) for number, admin in enumerate(admins)]
    try:
        quiet_from, faults_from = await _watched(fleet, partners, prometheus, replicas, held)
    except BaseException:
        prometheus.stop()
        raise
    # The last scrape may be later than the last step of a query that ends now.
    return FaultRun(prometheus, (quiet_from, faults_from), (faults_from, time.time() + STEP_S), held is not None)


def _held_credentials(fleet: Fleet, stack: AsyncExitStack) -> HangingFolder | None:
    """Put credentials in a folder that can hang, or in a plain one if none can be mounted."""
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
    """Run everything, and return when the quiet time and the faults began."""
    for replica in replicas:
        await replica.listening()
        await until(replica.ready)
    asking = asyncio.create_task(_ask_all_day(fleet, replicas))
    try:
        await until(prometheus.is_ready)
        await until(lambda: len(prometheus.now("token_sidecar_build_info")) == 2)
        await _seen(prometheus, ENOUGH_LOOKS)
        quiet_from = time.time()
        await _seen(prometheus, 3)
        faults_from = time.time()
        await _everything_fails(fleet, partners, replicas[0])
        await until(lambda: _clock_is_off(replicas))
        await payments_fail(fleet.session, partners["paying"][0], replicas[0])
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
    gone = f"max_over_time(up[{round(1000 * ENOUGH_LOOKS * SCRAPE_S)}ms]) == 0"
    await until(lambda: len(prometheus.now(gone)) == 2)
    return quiet_from, faults_from
