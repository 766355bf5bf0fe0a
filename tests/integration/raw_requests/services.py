"""Two whole sidecars, one with the fast path and one without it: the only place here that knows how one is built."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import uvloop

from sidecar.app.clock import SystemClock
from sidecar.app.running import load_settings
from sidecar.app.service import Service
from sidecar.core.model import Address, Budget, Secret, token_id_of
from sidecar.sandbox import Sandbox, SandboxConfig
from sidecar.telemetry.throttle import Throttle
from sidecar.web.server.fast_path import CachedResponse, Connection, FastPath
from tests.integration.raw_requests.conversation import CANARY, ListenerKind
from tests.support.replica import HANG_S
from tests.support.wire import ask

T = TypeVar("T")
PROFILES = ("default", "other")
TOKEN_MARK = "marked-token-"
"""Stands in front of each token. No log line may hold it."""
_KEY, _SECRET = "corpus-key", "corpus-secret"
_NO_LIMITS = {"HEADER_TIMEOUT_S": "600", "BODY_TIMEOUT_S": "600", "WRITE_TIMEOUT_S": "600"}
"""No conversation ends because time has passed."""
_TURNS = 8
"""Of the event loop, for it to accept a connection, to make its protocol and to read from it."""


class LoopThread:
    """An event loop of the kind the product runs on, in a thread of its own. `start`, then `stop`."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sidecars", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it there, and return what it returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(HANG_S)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stop the loop meanwhile, so that it finds all that is sent meanwhile at once."""
        reached, released = threading.Event(), threading.Event()

        def hold() -> None:
            reached.set()
            released.wait(HANG_S)

        self._loop.call_soon_threadsafe(hold)
        assert reached.wait(HANG_S)
        try:
            yield
        finally:
            released.set()

    def settle(self) -> None:
        """Return once everything that was sent has been read. Every turn of the loop looks at all sockets."""

        async def turns() -> None:
            for _ in range(_TURNS):
                await asyncio.sleep(0)

        self.run(turns())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(HANG_S)
        self._loop.close()


class _StillClock(SystemClock):
    """A clock that stands still: `expiresIn` is the same with and without the fast path."""

    def __init__(self) -> None:
        self._moment, self._instant = super().monotonic(), float(int(super().wall()))

    def monotonic(self) -> float:
        return self._moment

    def wall(self) -> float:
        return self._instant


class _ReadLog(io.StringIO):
    """A log that keeps only the lines that a sidecar must not write."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def write(self, text: str, /) -> int:
        self.faults += [line for line in text.splitlines() if _is_fault(line)]
        return len(text)


def _is_fault(line: str) -> bool:
    """Whether a line shows what was sent, or a token, or reports a fault of the product."""
    if CANARY.decode().lower() in line.lower() or TOKEN_MARK in line:
        return True
    document = json.loads(line)
    return bool(document["level"] == "error" or document["event"] == "library_message")


@dataclass(frozen=True, slots=True)
class RunningService:
    """One sidecar. `loop` is where it runs."""

    service: Service
    loop: LoopThread
    log: _ReadLog

    def address(self, listener: ListenerKind) -> Address:
        tcp, unix = self.service.bound
        return {"tcp": tcp, "unix": unix, "admin": self.service.admin_bound[0]}[listener]

    def connections(self) -> int:
        """How many there are now, at all listeners."""

        async def count() -> int:
            return sum(self.service._listeners.connections().values())

        return self.loop.run(count())


@dataclass(frozen=True, slots=True)
class Services:
    """The same sidecar twice, `on` with the fast path and `off` without it. They vend the same tokens."""

    on: RunningService
    off: RunningService
    tokens: Mapping[bytes, str]
    """The profile of each token."""
    token_ids: Mapping[str, str]
    """The profile of each token's id."""
    fast_responses: list[bytes]
    """Each request that was answered by the fast path."""


@contextmanager
def running_services(folder: Path) -> Iterator[Services]:
    """`folder` gets the settings and the unix sockets; its path must be short. Fails where a log shows a fault."""
    loop, clock, fast_responses = LoopThread(), _StillClock(), list[bytes]()
    loop.start()
    with ExitStack() as stack:
        stack.callback(loop.stop)
        stack.enter_context(patch.object(FastPath, "find", _recorded(fast_responses)))
        # Every line is written: a line that shows a secret is not left out because a similar one came before it.
        stack.enter_context(patch.object(Throttle, "admit", lambda *_: 0))
        (folder / "sidecar.toml").write_text("".join(_partner(stack, loop, name) for name in PROFILES))
        on, off = (_sidecar(stack, loop, clock, _environ(folder, fast_path)) for fast_path in ("on", "off"))
        tokens = {_token(one, name): name for name in PROFILES for one in (on, off)}
        assert len(tokens) == len(PROFILES), "both vend the same tokens"
        ids = {token_id_of(Secret(token.decode())): name for token, name in tokens.items()}
        yield Services(on, off, tokens, ids, fast_responses)
    for one in (on, off):
        assert not one.log.faults, one.log.faults


def _recorded(requests: list[bytes]) -> Any:  # noqa: ANN401 - a method of another class
    find = FastPath.find

    def recorded(self: FastPath, segment: bytes, connection: Connection) -> CachedResponse | None:
        found = find(self, segment, connection)
        if found is not None:
            requests.append(segment)
        return found

    return recorded


def _partner(stack: ExitStack, loop: LoopThread, name: str) -> str:
    """Start a partner that always hands out the same token. Returns a profile's settings."""
    account = SandboxConfig(
        api_key=Secret(_KEY), api_secret=Secret(_SECRET), limit=Budget(1000, 1), same_token=True, token_mark=TOKEN_MARK
    )
    partner = Sandbox(account, SystemClock())
    url = loop.run(partner.start())
    stack.callback(lambda: loop.run(partner.stop()))
    return f'[profiles.{name}]\nbase_url = "{url}"\napi_key = "{_KEY}"\napi_secret = "{_SECRET}"\n'


def _sidecar(stack: ExitStack, loop: LoopThread, clock: SystemClock, environ: Mapping[str, str]) -> RunningService:
    log = _ReadLog()
    service = Service(load_settings(environ), clock=clock, log=log)
    loop.run(service.start())
    stack.callback(lambda: loop.run(service.stop()))
    return RunningService(service, loop, log)


def _environ(folder: Path, fast_path: str) -> dict[str, str]:
    settings = {
        "LISTEN": f"127.0.0.1:0,unix:{folder / fast_path}",
        "ADMIN_LISTEN": "127.0.0.1:0",
        "CONFIG": str(folder / "sidecar.toml"),
        "WARM": fast_path,
        **_NO_LIMITS,
    }
    return {f"SIDECAR_{name}": text for name, text in settings.items()}


def _token(running: RunningService, profile: str) -> bytes:
    reply = running.loop.run(ask(running.address("tcp"), f"/v1/token/{profile}", headers={"Accept": "text/plain"}))
    assert reply.status == 200, reply.raw
    return reply.body
