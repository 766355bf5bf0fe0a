"""The client of Redis or Valkey: runs scripts, each in one round trip and within a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Coroutine
from importlib import resources
from typing import Any, Protocol, TypeVar

import msgspec
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from sidecar.core.errors import StoreError
from sidecar.core.model import Seconds
from sidecar.core.ports import Clock
from sidecar.core.store_url import RedisUrl, Topology
from sidecar.file_limit import cause_of
from sidecar.file_operations import FileStalls
from sidecar.resolver import Resolver
from sidecar.stores.codec import UNREADABLE, decode_reply
from sidecar.stores.documents import StoreReply
from sidecar.stores.redis.access import OPTIONAL_WAIT, Access
from sidecar.stores.redis.cluster import ClusterServers
from sidecar.stores.redis.connection import LastContact
from sidecar.stores.redis.replaceable_pool import MAX_CONNECTIONS, BackgroundTasks, ClientFactory, Word
from sidecar.stores.redis.script_args import ScriptArgs
from sidecar.stores.redis.sentinel import Sentinels

_T = TypeVar("_T")


class Servers(Protocol):
    """Sends one command to the responsible server. Raises what redis-py raises, `OSError` and `RuntimeError`.

    A command is sent again only if a server replied that it did not run it, or could not be reached.
    """

    async def run(self, key: str, *command: Word) -> Any:  # noqa: ANN401 - any command has any reply
        """`key` is one of the command's keys, which share one slot; empty for a command without keys."""
        ...

    async def close(self) -> None:
        """Close every connection; no operation may be running."""
        ...


class OneServer:
    """The server at the URL's address, or the master that the URL's sentinels name."""

    def __init__(self, url: RedisUrl, timeout_s: Seconds, resolver: Resolver, access: Access) -> None:
        self._factories = [ClientFactory(timeout_s, resolver, access.server, access.certificates)]
        if url.topology is Topology.SENTINEL:
            to_sentinels = ClientFactory(timeout_s, resolver, access.sentinel, access.certificates)
            self._factories.append(to_sentinels)
            locate = Sentinels(url, to_sentinels).master
            self._pool = self._factories[0].following_pool(locate, url.database)
        else:
            self._pool = self._factories[0].pool(url.addresses[0], url.database)

    async def run(self, key: str, *command: Word) -> Any:  # noqa: ANN401, ARG002 - the form of `Servers`
        return await self._pool.run(*command)

    async def close(self) -> None:
        await self._pool.close()
        for factory in self._factories:
            await factory.background.ended()


def servers_of(url: RedisUrl, timeout_s: Seconds, resolver: Resolver, access: Access) -> Servers:
    """Connects to nothing yet."""
    kind = ClusterServers if url.topology is Topology.CLUSTER else OneServer
    return kind(url, timeout_s, resolver, access)


class Script:
    """One script: the prelude `lua/_gate.lua`, then `lua/<name>.lua`."""

    def __init__(self, name: str) -> None:
        folder = resources.files("sidecar.stores.redis") / "lua"
        self.name = name
        self.text = "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("_gate", name))
        # Redis names scripts by SHA-1; nothing secret depends on it.
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class RedisClient:
    """One store. Any number of operations may run at once; each takes at most `timeout_s`, connect included."""

    def __init__(self, url: RedisUrl, *, timeout_s: Seconds, clock: Clock, stalls: FileStalls) -> None:
        """Connects to nothing yet."""
        self._clock = clock
        self._timeout_s = timeout_s
        resolver, access = Resolver(timeout_s * OPTIONAL_WAIT), Access(url, stalls, timeout_s)
        self._servers = servers_of(url, timeout_s, resolver, access)
        self._only_address = url.addresses[0] if url.topology is Topology.SERVER else None
        # redis-py's own blocking pool is unfair: some callers starve. This one is first come, first served.
        self._free_connections = asyncio.Semaphore(MAX_CONNECTIONS)
        self._running = BackgroundTasks()

    async def ping(self) -> None:
        await self._within_time("ping", lambda: self._servers.run("", "PING"))

    async def get(self, key: str) -> bytes | None:
        """Return the value of a key, None if it is missing or not text. Raises `StoreError`."""
        value = await self._within_time("peek", lambda: self._servers.run(key, "GET", key))
        return value if isinstance(value, bytes) else None

    async def close(self) -> None:
        """Wait for running operations, which their own time limits end, and close every connection."""
        await self._running.ended()
        await self._servers.close()

    async def run(self, script: Script, keys: tuple[str, ...], args: ScriptArgs) -> StoreReply:
        """Run the script on `keys`, which share one slot, and return its reply. Raises `StoreError`."""
        args.new_epoch = self._clock.new_id()
        named = msgspec.json.encode(args)
        reply = await self._within_time(script.name, lambda: self._evaluate(script, keys, named))
        try:
            return decode_reply(reply)
        except (*UNREADABLE, TypeError) as error:
            # The script's reply is well-formed whatever is stored, so this server is not Redis or Valkey.
            raise StoreError(script.name, type(error).__name__) from None

    async def _evaluate(self, script: Script, keys: tuple[str, ...], named: bytes) -> Any:  # noqa: ANN401 - not looked at yet
        with contextlib.suppress(NoScriptError):
            return await self._servers.run(keys[0], "EVALSHA", script.sha, len(keys), *keys, named)
        # After a restart, a failover or SCRIPT FLUSH the text is sent once; the server then caches it again.
        return await self._servers.run(keys[0], "EVAL", script.text, len(keys), *keys, named)

    async def _within_time(self, operation: str, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Run one operation in its own task, which neither the time limit nor the caller's cancellation cancels.

        redis-py on Python 3.11 swallows some cancellations, and a half-read reply must never reach a later caller. So
        a sent operation continues until its own socket time limits, and only its connection is busy until then. An
        operation that still waits for a connection is given up: no caller would use what it claims.
        """
        contact = LastContact(self._only_address)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free_connections.acquire()
                task = self._running.start(work(), contact.context())
                task.add_done_callback(lambda _: self._free_connections.release())
                await asyncio.wait((task,))
                return task.result()
        except (RedisError, OSError, RuntimeError) as error:
            # uvloop raises RuntimeError for a write to a closed transport. Error texts may contain sent data.
            address = "" if contact.address is None else str(contact.address)
            raise StoreError(operation, cause_of(root_of(error)), address=address) from None


def root_of(error: BaseException) -> BaseException:
    """Return the root cause: redis-py wraps the reason for a failed connect in its own ConnectionError."""
    beneath = error.__cause__ or error.__context__
    if type(error) in (RedisConnectionError, OSError) and isinstance(beneath, (OSError, RedisError)):
        return root_of(beneath)
    return error
