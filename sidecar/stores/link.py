"""The link to a Redis or Valkey server: runs scripts, each one round trip and within a time limit."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from importlib import resources
from typing import Any, TypeVar, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from sidecar.core.errors import ConfigurationError, StoreError
from sidecar.core.model import Profile, Seconds, Secret
from sidecar.core.ports import Clock
from sidecar.stores.gate import View
from sidecar.stores.wire import Arguments, decode_view, encode_arguments

LEAST_RIGHTS = "resetkeys ~pts:* resetchannels -@all +eval +evalsha +get +set +time +ping"
"""ACL rules that suffice for the server user of the store's URL."""

MAX_CONNECTIONS = 4
"""A profile's maintainer waits for each answer, so this is enough for many profiles."""

_T = TypeVar("_T")


class Script:
    """One decision: `scripts/<name>.lua` behind the prelude `scripts/_gate.lua`."""

    def __init__(self, name: str) -> None:
        folder = resources.files("sidecar.stores") / "scripts"
        self.name = name
        self.text = "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("_gate", name))
        # Redis names scripts by SHA-1; nothing secret depends on it.
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class RedisLink:
    """One server. Any number of operations may run at once; each takes at most `timeout_s`, connect included."""

    def __init__(self, url: Secret, *, timeout_s: Seconds, clock: Clock) -> None:
        """Raises `ConfigurationError` for a URL that cannot be used. Connects to nothing yet."""
        self._clock = clock
        self._timeout_s = timeout_s
        self._client = _client(url, timeout_s)
        # redis-py's own blocking pool is unfair: some callers starve. This one is first come, first served.
        self._free_connections = asyncio.Semaphore(MAX_CONNECTIONS)
        self._running: set[asyncio.Task[Any]] = set()

    async def ping(self) -> None:
        await self._within_time("ping", lambda: cast("Coroutine[Any, Any, bool]", self._client.ping()))

    async def close(self) -> None:
        """Wait for what is under way, which its own time limits end, and close every connection."""
        if self._running:
            await asyncio.wait(self._running)
        await self._client.aclose()

    async def run(self, script: Script, profile: Profile, arguments: Arguments) -> View:
        """Let the server decide. Raises `StoreError`."""
        tag = f"pts:{{{profile.profile_id}}}"
        named = encode_arguments({**arguments, "new_epoch": self._clock.new_id()})
        reply = await self._within_time(
            script.name, lambda: self._evaluate(script, f"{tag}:gate", f"{tag}:token", named)
        )
        try:
            return decode_view(reply)
        except msgspec.DecodeError as error:
            # Whatever is stored, the script answers in form; so this is no server of ours.
            raise StoreError(script.name, type(error).__name__) from None

    async def _evaluate(self, script: Script, *keys_and_arguments: str | bytes) -> bytes:
        try:
            reply = await self._client.evalsha(script.sha, 2, *keys_and_arguments)
        except NoScriptError:
            # A restart or SCRIPT FLUSH: the text once, which the server then knows again.
            reply = await self._client.eval(script.text, 2, *keys_and_arguments)
        return cast("bytes", reply)

    async def _within_time(self, operation: str, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Run one operation as a task of its own, which neither the time limit nor the caller's end cancels.

        redis-py on Python 3.11 swallows some cancellations, and a reply half read must never reach a later caller. So
        an operation that was sent runs on to its own socket time limits, and only its connection is busy until then.
        One that still waits for a connection is given up: nobody would take what it claims.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free_connections.acquire()
                task = asyncio.create_task(work())
                self._running.add(task)
                task.add_done_callback(self._landed)
                await asyncio.wait((task,))
                return task.result()
        except (RedisError, OSError, RuntimeError) as error:
            # RuntimeError is uvloop's word for a write to a closed transport. The texts may hold what was sent.
            raise StoreError(operation, type(error).__name__) from None

    def _landed(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        self._free_connections.release()
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain when the caller has gone


def _client(url: Secret, timeout_s: Seconds) -> Redis:
    """Every setting said aloud: redis-py's defaults differ between its constructors."""
    try:
        return Redis.from_url(
            url.reveal(),
            # A lost reply is repeated by the caller, with the same nonce; never below it.
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            max_connections=MAX_CONNECTIONS,
            # With notifications on, the check for connections that went stale is skipped.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            protocol=2,
            # No CLIENT SETINFO: it costs a round trip and a right.
            driver_info=None,
        )
    except (ValueError, TypeError):
        # `from None` and no text of theirs: it may quote the URL, and with it the password.
        raise ConfigurationError(["SIDECAR_STORE: not a usable Redis URL"]) from None
