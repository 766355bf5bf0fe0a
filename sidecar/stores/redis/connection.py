"""Connections to one Redis server, with every setting explicit: redis-py's defaults differ between constructors.

The server that an operation contacted last, to be named in its error.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextvars import Context, ContextVar, copy_context
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, Connection, ConnectionPool, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from sidecar.core.model import Address, Seconds
from sidecar.resolver import Resolver
from sidecar.stores.redis.access import Certificates, Login
from sidecar.stores.redis.bounded_parser import BoundedParser
from sidecar.stores.redis.tcp import TcpConnector


class LastContact:
    """Holds the address one operation contacted last; of several servers contacted at once, the last one noted.

    An exception could not carry it: an operation that times out has not raised one yet.
    """

    def __init__(self, address: Address | None) -> None:
        """`address` is the value until a connection notes another."""
        self.address = address

    def context(self) -> Context:
        """Return the context for the operation's task: `note_contact` in it and in tasks it starts is recorded here."""
        context = copy_context()
        context.run(_current.set, self)
        return context


_current: ContextVar[LastContact | None] = ContextVar("last_contact", default=None)


def note_contact(address: Address) -> None:
    """Record the address for the operation that is running, if any."""
    contact = _current.get()
    if contact is not None:
        contact.address = address


MAX_CONNECTIONS = 4
"""To one server. A profile's refresher waits for each reply, so this is enough for many profiles."""

Locate = Callable[[], Awaitable[Address]]
"""Looks up the address to connect to, on each call; raises what redis-py raises."""


class Connecting:
    """Makes clients of single servers that share one login and one set of certificates."""

    def __init__(
        self,
        timeout_s: Seconds,
        resolver: Resolver,
        login: Login | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        """`certificates` is None without TLS; `login` is None where none is required."""
        self._login = login
        self._reach: dict[str, Any] = {
            "login": login,
            "certificates": certificates,
            "tcp": TcpConnector(resolver, timeout_s),
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

    def client(self, address: Address, database: int = 0) -> Redis:
        """Return a client with its own pool; connects to nothing yet."""
        settings = {**self._settings, "db": database}
        if address.path:
            return _pooled(LocalConnection, login=self._login, path=address.path, **settings)
        return _pooled(ServerConnection, **self._reach, **_place(address), **settings)

    def following_client(self, locate: Locate, database: int) -> Redis:
        """Return a client that looks up the address for every connection."""
        return _pooled(FollowingConnection, locate=locate, **self._reach, **self._settings, db=database)

    def connection(self, address: Address) -> ServerConnection:
        """Return a connection outside any pool."""
        return ServerConnection(**self._reach, **_place(address), **self._settings)

    async def ask(self, address: Address, *command: str) -> Any:  # noqa: ANN401 - not looked at yet
        """Send one command over a connection of its own. Raises what redis-py raises, `OSError` and `RuntimeError`."""
        connection = self.connection(address)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py's
            await connection.send_command(*command)
            return await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)


class CertificateRefusedError(RedisConnectionError):
    """A TLS connection was closed before its first reply: the server requires a client certificate, or another one."""


class LocalConnection(UnixDomainSocketConnection):
    """A connection over a unix socket."""

    def __init__(self, *, login: Login | None, **settings: Any) -> None:  # noqa: ANN401 - redis-py's own
        self._login = login
        super().__init__(**settings)

    async def _connect(self) -> None:
        if self._login is not None:
            async with asyncio.timeout(self.socket_connect_timeout):
                await self._login.prepare()
        await super()._connect()  # type: ignore[no-untyped-call]  # redis-py's


class ServerConnection(Connection):
    """A TCP connection, with TLS where there are certificates."""

    def __init__(
        self,
        *,
        login: Login | None,
        certificates: Certificates | None,
        tcp: TcpConnector,
        **settings: Any,  # noqa: ANN401 - redis-py's own
    ) -> None:
        self._login = login
        self._certificates = certificates
        self._tcp = tcp
        self._streams_of: dict[str, Any] = {}
        self._was_answered = False
        super().__init__(**settings)

    async def send_packed_command(self, *command: Any, **options: Any) -> None:  # noqa: ANN401 - redis-py's own
        note_contact(Address(self.host, self.port))
        with self._naming_a_refusal():
            await super().send_packed_command(*command, **options)

    async def read_response(self, *options: Any, **more: Any) -> Any:  # noqa: ANN401 - redis-py's own
        with self._naming_a_refusal():
            answer = await super().read_response(*options, **more)
        self._was_answered = True
        return answer

    async def can_read(self) -> bool:
        with self._naming_a_refusal():
            return await super().can_read()

    @contextlib.contextmanager
    def _naming_a_refusal(self) -> Iterator[None]:
        """Detect a refused certificate: a TLS 1.3 server checks it after the client's handshake, and only closes."""
        try:
            yield
        except RedisConnectionError as error:
            # An error reply is of a subclass.
            if self._certificates is None or self._was_answered or type(error) is not RedisConnectionError:
                raise
            raise CertificateRefusedError("closed before its first answer") from None

    async def _connect(self) -> None:
        self._was_answered = False
        note_contact(Address(self.host, self.port))
        # One limit for the files, the look-up, all attempts and TLS together.
        async with asyncio.timeout(self.socket_connect_timeout):
            tls = await self._read_files()
            self._streams_of = {"sock": await self._tcp.connect(self.host, self.port), **tls}
            await super()._connect()  # type: ignore[no-untyped-call]  # redis-py's

    async def _read_files(self) -> dict[str, Any]:
        """Read the files before the connection exists: a cancellation then leaves no unauthenticated connection.

        Return asyncio's TLS arguments.
        """
        if self._login is not None:
            await self._login.prepare()
        if self._certificates is None:
            return {}
        # Verified by host name, whichever address it resolved to.
        return {"ssl": await self._certificates.context(), "server_hostname": self.host}

    async def disconnect(
        self,
        nowait: bool = False,
        *options: Any,  # noqa: ANN401 - redis-py's own
        **more: Any,  # noqa: ANN401 - the same
    ) -> None:
        """Close; with `nowait` at once: a TLS socket would otherwise stay open until the server closes too."""
        if nowait and self._writer is not None:
            self._writer.transport.abort()
        await super().disconnect(nowait, *options, **more)

    def _connection_arguments(self) -> dict[str, Any]:
        """Return the arguments that redis-py passes to `asyncio.open_connection`."""
        arguments, self._streams_of = self._streams_of, {}
        return arguments


class FollowingConnection(ServerConnection):
    """A connection to the server that is the master when it is opened."""

    def __init__(self, *, locate: Locate, **settings: Any) -> None:  # noqa: ANN401 - redis-py's own
        self._locate = locate
        super().__init__(**settings)

    async def _connect(self) -> None:
        address = await self._locate()
        self.host, self.port = address.host, address.port
        await super()._connect()


def _place(address: Address) -> dict[str, Any]:
    return {"host": address.host, "port": address.port}


def _pooled(kind: type[AbstractConnection], **settings: Any) -> Redis:  # noqa: ANN401 - redis-py's own
    pool = ConnectionPool(
        connection_class=kind,
        max_connections=MAX_CONNECTIONS,
        # With notifications on, the check for connections that went stale is skipped.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        **settings,
    )
    return Redis.from_pool(pool)
