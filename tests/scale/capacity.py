"""The cost of one operation of each kind for a server, and how many looks and plain GETs it answers a second."""

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

import msgspec

from sidecar.app.clock import SystemClock
from sidecar.core.model import Lifetime, Profile, Secret, Token, token_id_of
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import ClaimRequest, Granted, LearnedLifetime
from sidecar.stores.redis.script_args import PeekArgs
from sidecar.stores.redis.store import PEEK, RedisStore
from sidecar.stores.sealing import AesSealer, SealKey
from tests.scale.reading import Meter
from tests.servers import RedisServer
from tests.support.store_urls import redis_url

PROFILE = Profile(base_url="https://partner.example", partner_timeout_s=300)
"""Its lease is held through every measurement."""
SEAL_KEY = SealKey("one", Secret(base64.b64encode(bytes(32)).decode()))
TIMES = 2000
BENCHMARK_REQUESTS = 100_000
BENCHMARK_CLIENTS = 50
WAVES, WAVE_SIZES = 3, (3000, 7000)
"""A wave is a fleet that polls at the same moment: this many connections, each with one request at a time."""
ROUNDS = 3
"""The best round counts, because other work of the machine only slows rounds."""


@dataclass(frozen=True)
class Kind:
    """The averages of one kind of operation."""

    name: str
    in_bytes: float
    out_bytes: float
    script_us: float
    cpu_us: float
    """The CPU time of the server, with that for reading and writing sockets."""


@dataclass(frozen=True)
class Rate:
    """The best of some rounds of redis-benchmark. Each connection sends its requests one after the other."""

    name: str
    per_s: float
    p50_ms: float
    slowest_ms: float


async def measure() -> tuple[list[Kind], list[Rate]]:
    with tempfile.TemporaryDirectory() as folder:
        redis = RedisServer(Path(folder)).start()
        store = RedisStore(redis_url(redis.url), timeout_s=5, sealer=AesSealer([SEAL_KEY]), clock=SystemClock())
        try:
            with Meter(redis) as meter:
                kinds, fence = await kinds_of(meter, store.shared_state(PROFILE))
            return kinds, [*_rates(redis, fence)]
        finally:
            await store.close()
            redis.stop()


async def kinds_of(meter: Meter, state: SharedState, times: int = TIMES) -> tuple[list[Kind], int]:
    """Measure in the order of a rotation: a token is committed and read, and another replica claims the next."""
    nonces = (f"replica/{number:016x}" for number in itertools.count())

    async def claim(known: int) -> int:
        claimed = await state.claim(
            ClaimRequest(
                nonce=next(nonces), known=known, fence=known, epoch="", caller_requested=False, credentials_id="c" * 16
            )
        )
        return claimed.outcome.fence if isinstance(claimed.outcome, Granted) else 0

    # Every script is loaded before it is measured.
    await state.peek(0)
    old = await claim(0)
    await state.commit("replica/0000000000000000", _token(old), 0, LearnedLifetime())
    fence = old + 60_000
    kinds = [
        await _kind(meter, "look, nothing new", times, lambda: state.peek(old)),
        await _kind(meter, "look that brings the token", times, lambda: state.peek(0)),
        await _kind(meter, "claim, granted", 1, lambda: claim(old)),
        await _kind(meter, "claim, held", times, lambda: claim(old)),
        await _kind(meter, "commit", 1, lambda: state.commit("replica/0", _token(fence), 0, LearnedLifetime())),
    ]
    return kinds, fence


async def _kind(meter: Meter, name: str, times: int, operation: Callable[[], Awaitable[object]]) -> Kind:
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
    argument = msgspec.json.encode(PeekArgs(known=fence, new_epoch="0" * 16)).decode()
    look = ("EVALSHA", PEEK.sha, "2", gate, token, argument)
    return [
        _best(redis, BENCHMARK_REQUESTS, BENCHMARK_CLIENTS, "GET", gate),
        _best(redis, BENCHMARK_REQUESTS, BENCHMARK_CLIENTS, *look),
        *(_best(redis, WAVES * wave, wave, *look) for wave in WAVE_SIZES),
    ]


def _best(redis: RedisServer, requests: int, clients: int, *command: str) -> Rate:
    return max((_rate(redis, requests, clients, *command) for _ in range(ROUNDS)), key=lambda rate: rate.per_s)


def _rate(redis: RedisServer, requests: int, clients: int, *command: str) -> Rate:
    options = ["redis-benchmark", "-p", str(redis.port), "-n", str(requests), "-c", str(clients)]
    output = subprocess.run([*options, *command], capture_output=True, text=True, check=True, timeout=300).stdout
    per_s = re.findall(r"throughput summary: ([\d.]+)", output)[-1]
    _, _, p50_ms, _, _, slowest_ms = output.split()[-6:]
    name = f"{'plain GET of the same key' if command[0] == 'GET' else 'look, nothing new'}, {clients} connections"
    return Rate(name, float(per_s), float(p50_ms), float(slowest_ms))


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
