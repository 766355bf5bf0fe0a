"""A fleet of real processes, with a real Redis and a simulated partner on a real socket."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import aiohttp

from sidecar.app.clock import SystemClock
from sidecar.core.account import account_of_key
from sidecar.core.model import Budget, Profile, Secret
from sidecar.sandbox import Sandbox, SandboxConfig
from sidecar.sandbox.journal import Call
from tests.servers import RedisServer
from tests.support.replica import HANG_S, SERVE, Replica, until

KEY, SECRET = "fleet-key", "fleet-secret"
CONFIG = SandboxConfig(api_key=Secret(KEY), api_secret=Secret(SECRET), limit=Budget(1000, 60))


class HeldClock(SystemClock):
    """The clock of the simulated partner. While `free` is cleared, the partner sends no response."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()

    async def sleep(self, delay_s: float) -> None:
        await super().sleep(delay_s)
        await self.free.wait()


class Fleet:
    """The replicas of one test, their store and their partner. Clients send requests to those in `replicas`."""

    def __init__(self, folder: Path, redis: RedisServer, sandbox: Sandbox, clock: HeldClock) -> None:
        self.folder, self.redis, self.sandbox, self.partner_clock = folder, redis, sandbox, clock
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=90)
        )
        self.replicas: list[Replica] = []
        self.started: list[Replica] = []
        self.partner_url = ""
        self.settings = {
            "SIDECAR_LISTEN": "127.0.0.1:0",
            "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
            "SIDECAR_STORE": redis.url,
            "SIDECAR_SEAL_KEY_FILE": str(folder / "seal-key"),
            "SIDECAR_CREDENTIALS_DIR": str(folder / "credentials"),
            "SIDECAR_DRAIN_S": "0",
        }
        (folder / "seal-key").write_bytes(base64.b64encode(os.urandom(32)))
        self.mount(KEY, SECRET)

    @property
    def profile_id(self) -> str:
        """The name of the account of `KEY` in the store."""
        account = account_of_key(KEY)
        return Profile(base_url=self.partner_url, account=account).profile_id

    @property
    def calls(self) -> list[Call]:
        """Every token call that the partner received, in order."""
        return self.sandbox.state.journal.calls

    @property
    def now(self) -> float:
        """The time by the monotonic clock of the partner."""
        return self.partner_clock.monotonic()

    @property
    def ends_at(self) -> Mapping[str, float]:
        """The end of each issued token by its id, oldest first, in the time of `now`."""
        return self.sandbox.state.accounts["pay1st"].ends_at

    @property
    def issued(self) -> list[str]:
        """The ids of all tokens, oldest first."""
        return list(self.ends_at)

    @property
    def gaps_s(self) -> list[float]:
        """The time between the arrivals of successive partner calls.

        Use it only for times that a replica counts from the response of the partner, such as a cool-down. A lease and
        the age of a token count from before the call, which arrives much later on a busy machine: use `begun_gaps_s`.
        """
        return _gaps_s([call.at_monotonic for call in self.calls])

    async def begun_gaps_s(self) -> list[float]:
        """The time between the beginnings of successive partner calls, from which replicas count the age of a token.

        It is read from the logs of replicas that run and whose wall clocks agree, once they have every call that was
        answered. The replica that fetched a token counts its exact age. For the others a token may be older, by the
        duration of one operation on the store for each of the two replicas.
        """
        answered = sum(call.status != 0 for call in self.calls)
        await until(lambda: len(self._begun_at()) >= answered)
        return _gaps_s(sorted(self._begun_at()))

    def _begun_at(self) -> list[float]:
        ended = itertools.chain.from_iterable(replica.events("partner_called") for replica in self.started)
        return [datetime.fromisoformat(call["timestamp"]).timestamp() - call["duration_s"] for call in ended]

    def mount(self, key: str, secret: str, **more: str) -> None:
        """Replace the credential files as the kubelet does: make a directory, then link `..data` to it in one step."""
        mounted = self.folder / "credentials"
        version = mounted / f"..{time.monotonic_ns()}"
        version.mkdir(parents=True)
        for name, text in {"api-key": key, "api-secret": secret, **more}.items():
            (version / name).write_text(text)
            if not (mounted / name).is_symlink():
                (mounted / name).symlink_to(Path("..data") / name)
        (mounted / "..data_tmp").symlink_to(version.name)
        (mounted / "..data_tmp").rename(mounted / "..data")

    def launch(self, argv: Sequence[str] = SERVE, **settings: str) -> Replica:
        """Start one more process without waiting for it. Settings are named without the prefix `SIDECAR_`."""
        environ = self.settings | {f"SIDECAR_{name}": value for name, value in settings.items()}
        replica = Replica(self.session, environ, self.folder / f"replica-{len(self.started)}.log", argv)
        self.started.append(replica)
        return replica

    async def start(self, count: int, **settings: str) -> list[Replica]:
        """Start `count` replicas at once, and wait until all of them listen."""
        launched = [self.launch(**settings) for _ in range(count)]
        await asyncio.gather(*(replica.listening() for replica in launched))
        self.replicas += launched
        return launched

    async def ready(self, count: int, **settings: str) -> list[Replica]:
        """Start `count` replicas, and wait until all of them have a token."""
        started = await self.start(count, **settings)
        for replica in started:
            await until(replica.ready)
        return started

    async def agree(self, on: str = "") -> bool:
        """Return whether all replicas report the same token, with the id `on` if one is given."""
        try:
            held = {str((await replica.status())["tokenId"] or "") for replica in self.replicas}
        except (aiohttp.ClientError, OSError):
            return False
        return len(held) == 1 and "" not in held and on in ("", *held)

    async def agree_on_the_newest(self) -> bool:
        return await self.agree(self.issued[-1])

    async def looked(self) -> None:
        """Wait until each replica has read the store, which must be Redis, several times."""
        before = self._scripts_run()
        await until(lambda: self._scripts_run() >= before + 4 * len(self.replicas))

    def _scripts_run(self) -> int:
        return self.redis.command_counts().get("evalsha", 0)

    async def stop(self, replica: Replica, within_s: float = HANG_S) -> None:
        """Send SIGTERM, and check that the process ends with exit code 0."""
        if replica in self.replicas:
            self.replicas.remove(replica)
        replica.signal(signal.SIGTERM)
        assert await replica.ended(within_s) == 0


def _gaps_s(at: Sequence[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(at)]


@asynccontextmanager
async def open_fleet(folder: Path, redis: RedisServer, config: SandboxConfig = CONFIG) -> AsyncIterator[Fleet]:
    """Start a partner; the fleet has no replica yet."""
    clock = HeldClock()
    sandbox = Sandbox(config, clock)
    fleet = Fleet(folder, redis, sandbox, clock)
    fleet.settings["SIDECAR_BASE_URL"] = fleet.partner_url = await sandbox.start()
    try:
        yield fleet
    finally:
        for replica in fleet.started:
            replica.kill()
        await fleet.session.close()
        clock.free.set()
        await sandbox.stop()
