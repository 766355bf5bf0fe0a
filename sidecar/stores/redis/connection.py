"""Connections to one Redis server: TCP with or without TLS, or a unix socket, and each within one time limit."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeAlias

from aiohappyeyeballs import start_connection
from redis.asyncio.connection import Connection, UnixDomainSocketConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from sidecar.core.model import Address, Seconds
from sidecar.resolver import Resolver
from sidecar.stores.redis.access import Certificates, Login

ATTEMPT_DELAY_S: Seconds = 0.25
"""Time between two attempts (RFC 8305, section 8); less where the time limit is short."""
LEAST_DELAY_S: Seconds = 0.01
MAX_REMEMBERED = 256

Locate: TypeAlias = Callable[[], Awaitable[Address]]
"""Looks up the address to connect to, on each call; raises what redis-py raises."""
_Place: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
_AddrInfo: TypeAlias = tuple[int, int, int, str, _Place]


class CertificateRefusedError(RedisConnectionError):
    """A TLS connection was closed before its first reply: the server requires a client certificate, or another one."""


class LastContact:
    """Holds the address that one operation contacted last, to be named in its error.

    An exception could not carry it: an operation that times out has not raised one yet. Of several servers contacted at
    once, it holds the last one noted.
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


class TcpConnector:
    """Opens TCP connections: the addresses of a host are tried as RFC 8305 says, first the one that worked last."""

    def __init__(self, resolver: Resolver, limit_s: Seconds) -> None:
        """`limit_s` is the time limit that the caller enforces; the attempts are spread over its first half."""
        self._resolver = resolver
        self._limit_s = limit_s
        self._worked: dict[tuple[str, int], _Place] = {}

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return a connected socket. Raises `OSError`, on uvloop also `RuntimeError`."""
        worked = self._worked.get((host, port))
        found = [_addr_info(address, port) for address in await self._resolver.resolve(host)]
        found.sort(key=lambda info: info[-1] != worked)
        # The other half is for the look-up, the last address and TLS.
        delay_s = max(LEAST_DELAY_S, min(ATTEMPT_DELAY_S, self._limit_s / 2 / len(found)))
        connected = await start_connection(found, happy_eyeballs_delay=delay_s)
        if len(found) > 1:
            self._remember(host, port, connected.getpeername())
        return connected

    def _remember(self, host: str, port: int, place: _Place) -> None:
        self._worked.pop((host, port), None)
        self._worked[host, port] = place
        # Limited because a server may announce any number of names.
        if len(self._worked) > MAX_REMEMBERED:
            del self._worked[next(iter(self._worked))]


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
        connector: TcpConnector,
        **settings: Any,  # noqa: ANN401 - redis-py's own
    ) -> None:
        self._login = login
        self._certificates = certificates
        self._connector = connector
        self._streams_of: dict[str, Any] = {}
        self._has_replied = False
        super().__init__(**settings)

    async def send_packed_command(self, *command: Any, **options: Any) -> None:  # noqa: ANN401 - redis-py's own
        note_contact(Address(self.host, self.port))
        with self._naming_a_refusal():
            await super().send_packed_command(*command, **options)

    async def read_response(self, *options: Any, **more: Any) -> Any:  # noqa: ANN401 - redis-py's own
        with self._naming_a_refusal():
            reply = await super().read_response(*options, **more)
        self._has_replied = True
        return reply

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
            if self._certificates is None or self._has_replied or type(error) is not RedisConnectionError:
                raise
            raise CertificateRefusedError("closed before its first reply") from None

    async def _connect(self) -> None:
        self._has_replied = False
        note_contact(Address(self.host, self.port))
        # One limit for the files, the look-up, all attempts and TLS together.
        async with asyncio.timeout(self.socket_connect_timeout):
            tls = await self._read_files()
            self._streams_of = {"sock": await self._connector.connect(self.host, self.port), **tls}
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


def _addr_info(address: str, port: int) -> _AddrInfo:
    """Convert a numeric address, without a look-up."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    family, kind, protocol, name, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=flags)[0]
    return family, kind, protocol, name, place  # type: ignore[return-value]  # no packet or Bluetooth address
