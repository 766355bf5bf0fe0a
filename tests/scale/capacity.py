"""What one operation of each kind costs a server, and how many looks it answers a second beside plain GETs."""

from __future__ import annotations

import base64
import itertools
import re
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from sidecar.app import SystemClock
from sidecar.core.model import Lifetime, Profile, Secret, Token, token_id_of
from sidecar.core.ports import SharedState
from sidecar.core.shared import Ask, Granted, Lesson
from sidecar.stores.redis import PEEK, RedisStore
from sidecar.stores.seal import AesSealer, SealKey
from sidecar.stores.wire import encode_arguments
from tests.scale.reading import Meter
from tests.servers import RedisServer

PROFILE = Profile(base_url="https://partner.example", partner_timeout_s=300)
"""A lease long enough to be held through every measurement."""
SEAL_KEY = SealKey("one", Secret(base64.b64encode(bytes(32)).decode()))
TIMES = 2000
BENCHMARK_REQUESTS = 100_000
BENCHMARK_CLIENTS = 50
ROUNDS = 3
"""Whatever else the machine does only slows a round."""


@dataclass(frozen=True)
class Kind:
    """Of one operation, on average."""

    name: str
    in_bytes: float
    out_bytes: float
    script_us: float
    cpu_us: float
    """The whole server's, its share of reading and writing sockets included."""


@dataclass(frozen=True)
class Rate:
    """By redis-benchmark, each connection's requests one after the other; the best of some rounds."""

    name: str
    per_s: float
    p50_ms: float


async def measure() -> tuple[list[Kind], list[Rate]]:
    with tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder)).start()
        store = RedisStore(Secret(redis.url), timeout_s=5, sealer=AesSealer([SEAL_KEY]), clock=SystemClock())
        try:
            with Meter(redis) as meter:
                kinds, fence = await _kinds(meter, store.shared_state(PROFILE))
            return kinds, [*_rates(redis, fence)]
        finally:
            await store.close()
            redis.stop()


async def _kinds(meter: Meter, state: SharedState) -> tuple[list[Kind], int]:
    """In the order of a rotation: a token is committed, looked at, and another replica asks for the next."""
    nonces = (f"replica/{number:016x}" for number in itertools.count())

    async def claim(known: int) -> int:
        claimed = await state.claim(
            Ask(nonce=next(nonces), known=known, fence=known, epoch="", on_demand=False, credentials_id="c" * 16)
        )
        return claimed.outcome.fence if isinstance(claimed.outcome, Granted) else 0

    # Every script is loaded before it counts.
    await state.peek(0)
    old = await claim(0)
    await state.commit("replica/0000000000000000", _token(old), 0, Lesson())
    fence = old + 60_000
    kinds = [
        await _kind(meter, "look, nothing new", lambda: state.peek(old)),
        await _kind(meter, "look that brings the token", lambda: state.peek(0)),
        await _kind(meter, "claim, granted", lambda: claim(old), times=1),
        await _kind(meter, "claim, held", lambda: claim(old)),
        await _kind(meter, "commit", lambda: state.commit("replica/0", _token(fence), 0, Lesson()), times=1),
    ]
    return kinds, fence


async def _kind(meter: Meter, name: str, operation: Callable[[], Awaitable[object]], times: int = TIMES) -> Kind:
    before = meter.read()
    for _ in range(times):
        await operation()
    spent = meter.read() - before
    return Kind(
        name,
        spent.in_bytes / times,
        spent.out_bytes / times,
        spent.script_s / times * 1e6,
        spent.cpu_s / times * 1e6,
    )


def _rates(redis: RedisServer, fence: int) -> list[Rate]:
    gate, token = (f"pts:{{{PROFILE.profile_id}}}:{part}" for part in ("gate", "token"))
    argument = encode_arguments({"known": fence, "new_epoch": "0" * 16}).decode()
    commands = {
        "plain GET of the same key": ("GET", gate),
        "look, nothing new": ("EVALSHA", PEEK.sha, "2", gate, token, argument),
    }
    tried = [_rate(redis, name, *command) for _ in range(ROUNDS) for name, command in commands.items()]
    return [max((rate for rate in tried if rate.name == name), key=lambda rate: rate.per_s) for name in commands]


def _rate(redis: RedisServer, name: str, *command: str) -> Rate:
    asked = [
        "redis-benchmark",
        "-p",
        str(redis.port),
        "-n",
        str(BENCHMARK_REQUESTS),
        "-c",
        str(BENCHMARK_CLIENTS),
        "-q",
    ]
    said = subprocess.run([*asked, *command], capture_output=True, text=True, check=True, timeout=300).stdout
    found = re.findall(r"([\d.]+) requests per second, p50=([\d.]+) msec", said)
    return Rate(name, float(found[-1][0]), float(found[-1][1]))


def _token(fence: int) -> Token:
    """As long as the sandbox's."""
    access = Secret(base64.b64encode(bytes(512)).decode())
    return Token(
        access=access,
        refresh=Secret(access.reveal()),
        token_id=token_id_of(access),
        role=PROFILE.role,
        fence=fence,
        issued_at=time.time(),
        lifetime_s=PROFILE.lifetime_s,
        lifetime=Lifetime.ASSUMED,
        credentials_id="c" * 16,
    )
