"""Clients of one Redis server, and their replacement when a connection fails, and after about a minute in any case."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from functools import partial
from typing import Any, TypeAlias, TypeVar

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from sidecar.core.model import Address, MonotonicTime, Seconds
from sidecar.resolver import Resolver
from sidecar.stores.redis.access import OPTIONAL_WAIT, Certificates, Login
from sidecar.stores.redis.bounded_parser import BoundedParser
from sidecar.stores.redis.connection import FollowingConnection, LocalConnection, Locate, ServerConnection, TcpConnector

_T = TypeVar("_T")


class BackgroundTasks:
    """Tasks that are never cancelled: redis-py on Python 3.11 swallows some. Socket time limits end each of them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, _T], context: Context | None = None) -> asyncio.Task[_T]:
        task = asyncio.create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)
        return task

    async def ended(self) -> None:
        """Wait for all of them."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio logs no error when no caller waits any more


LOST = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, MasterDownError, OSError, RuntimeError)
"""The server is unreachable or read-only: the name or the sentinels may lead to another server by now.

uvloop raises RuntimeError for a write to a closed transport.
"""

RENEW_AFTER_S: tuple[Seconds, Seconds] = (45, 75)
"""Least and greatest age at a renewal; random, so that the replicas of a fleet do not connect all at once."""

MAX_CONNECTIONS = 4
"""To one server. A profile's refresher waits for each reply, so this is enough for many profiles."""

Word: TypeAlias = str | bytes | int


def renewal_due_at() -> MonotonicTime:
    """Return when something that is renewed now should be renewed again, by `time.monotonic`."""
    return time.monotonic() + random.uniform(*RENEW_AFTER_S)  # noqa: S311 - spreads load, guards nothing


class ReplaceablePool:
    """Replaces all connections after a failure, because each of the others might time out in turn.

    Also renews them regularly: a host name may lead to another server by now, while the old server still replies. The
    new connection is made first. If that fails, the old connections stay in use.
    """

    def __init__(self, make: Callable[[], Redis], background: BackgroundTasks, renewal_wait_s: Seconds) -> None:
        """`renewal_wait_s` is the longest time an operation waits for a renewal before it uses the old connections."""
        self._make = make
        self._background = background
        self._renewal_wait_s = renewal_wait_s
        self._renewal: asyncio.Task[None] | None = None
        self._replace(make())

    async def run(self, *command: Word, asking: bool = False) -> Any:  # noqa: ANN401 - any command has any reply
        """Send one command; `asking` allows keys of a slot that a cluster node is still importing."""
        if time.monotonic() >= self._due_at:
            await asyncio.wait((self._renew(),), timeout=self._renewal_wait_s)
        client = self.client
        try:
            if asking:
                return await _run_asking(client, command)
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py's
        except LOST:
            if client is self.client:
                self._replace(self._make())
            raise
        finally:
            # Also if another operation failed first: our connection went back to a pool that is not used any more.
            if client is not self.client:
                self._background.start(_retire(client))

    def leave(self) -> None:
        """Close idle connections now, and busy ones when their operations end."""
        left = self.client
        self._replace(self._make())
        self._background.start(_retire(left))

    async def renew(self) -> None:
        """Renew the connections now. Does not raise: if it fails, the old connections stay in use."""
        await asyncio.shield(self._renew())

    async def close(self) -> None:
        if self._renewal is not None:
            await asyncio.wait((self._renewal,))
        await self.client.aclose()

    def _replace(self, client: Redis) -> None:
        self.client = client
        self._due_at = renewal_due_at()

    def _renew(self) -> asyncio.Task[None]:
        """Start a renewal, or join the running one. When it ends, the next one is scheduled, also after a failure."""
        if self._renewal is None or self._renewal.done():
            self._renewal = self._background.start(self._make_before_break())
        return self._renewal

    async def _make_before_break(self) -> None:
        old, left = self.client, self._make()
        try:
            # Connects and authenticates. No command is sent: the user may be allowed only the store's commands.
            connection = await left.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py's
            await left.connection_pool.release(connection)
        except (RedisError, *LOST):
            self._due_at = renewal_due_at()
        else:
            # Otherwise an operation failed meanwhile, and the client has been replaced already.
            if self.client is old:
                new, left = left, old
                self._replace(new)
        await _retire(left)


async def _run_asking(client: Redis, command: tuple[Word, ...]) -> Any:  # noqa: ANN401 - any command has any reply
    """Send ASKING and the command together: ASKING applies to the next command of the same connection."""
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.execute_command("ASKING")
        pipeline.execute_command(*command)
        replies = await pipeline.execute(raise_on_error=False)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies[1]


async def _retire(client: Redis) -> None:
    await client.connection_pool.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]  # redis-py's
    await client.connection_pool.disconnect(inuse_connections=False)


class ClientFactory:
    """Makes clients of single servers that share one login and one set of certificates.

    redis-py's defaults differ between its constructors, so every setting is explicit here.
    """

    def __init__(
        self,
        timeout_s: Seconds,
        resolver: Resolver,
        login: Login | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        """`certificates` is None without TLS; `login` is None where none is required."""
        self.background = BackgroundTasks()
        self.optional_wait_s = timeout_s * OPTIONAL_WAIT
        self._tcp: dict[str, Any] = {
            "login": login,
            "certificates": certificates,
            "connector": TcpConnector(resolver, timeout_s),
        }
        self._settings: dict[str, Any] = {
            "credential_provider": login,
            # After a lost reply the caller repeats the script with the same nonce. redis-py must not repeat it.
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "protocol": 2,
            "parser_class": BoundedParser,
            # No CLIENT SETINFO: it costs a round trip and requires a permission.
            "driver_info": None,
        }

    def pool(self, address: Address, database: int = 0) -> ReplaceablePool:
        """Return connections to this address; connects to nothing yet."""
        kind, settings = self._settings_for(address, database)
        return self._pool(partial(_client, kind, **settings))

    def following_pool(self, locate: Locate, database: int) -> ReplaceablePool:
        """Return connections that each look up their address; connects to nothing yet."""
        settings = {"locate": locate, **self._tcp, **self._settings, "db": database}
        return self._pool(partial(_client, FollowingConnection, **settings))

    def connection(self, address: Address, database: int = 0) -> AbstractConnection:
        """Return a connection outside any pool, not connected yet."""
        kind, settings = self._settings_for(address, database)
        return kind(**settings)

    @asynccontextmanager
    async def connected(self, address: Address, database: int = 0) -> AsyncIterator[AbstractConnection]:
        """Yield a new, authenticated connection. Raises what redis-py raises, `OSError` and `RuntimeError`."""
        connection = self.connection(address, database)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
            yield connection
        finally:
            await connection.disconnect(nowait=True)

    async def ask(self, address: Address, *command: str) -> Any:  # noqa: ANN401 - not looked at yet
        """Send one command over a connection of its own. Raises as `connected` does."""
        async with self.connected(address) as connection:
            await connection.send_command(*command)
            return await connection.read_response()

    def _settings_for(self, address: Address, database: int) -> tuple[type[AbstractConnection], dict[str, Any]]:
        settings = {**self._settings, "db": database}
        if address.path:
            return LocalConnection, {"login": self._tcp["login"], "path": address.path, **settings}
        return ServerConnection, {**self._tcp, "host": address.host, "port": address.port, **settings}

    def _pool(self, make: Callable[[], Redis]) -> ReplaceablePool:
        return ReplaceablePool(make, self.background, self.optional_wait_s)


def _client(kind: type[AbstractConnection], **settings: Any) -> Redis:  # noqa: ANN401 - redis-py's own
    pool = ConnectionPool(
        connection_class=kind,
        max_connections=MAX_CONNECTIONS,
        # With notifications on, the check for connections that went stale is skipped.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        **settings,
    )
    return Redis.from_pool(pool)
