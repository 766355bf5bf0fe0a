"""Opens and closes all listeners together, each with its connection limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from sidecar.app.process import give_back, share_open_files
from sidecar.config.schema import Settings
from sidecar.core.model import Address, Seconds
from sidecar.core.ports import EventSink
from sidecar.core.proxies import literal_address
from sidecar.credentials.caller_token import CallerTokens
from sidecar.web.api.guards import GuardSettings
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.listener import Handler, HttpServer, Listener


class GatewayListener(Protocol):
    """What opens the listener of one gateway. `marks` as for `HttpServer`."""

    @property
    def handler(self) -> Handler: ...
    @property
    def listen(self) -> Sequence[Address]: ...
    @property
    def marks(self) -> Mapping[str, str]: ...


class Listeners:
    """All listeners, closed at first. The vending listener opens last: once it is open, so are the others."""

    def __init__(self, settings: Settings, sink: EventSink) -> None:
        self._settings = settings
        self._sink = sink
        self._vending: Listener | None = None
        self._admin: Listener | None = None
        self._gateways: dict[str, Listener] = {}
        self.warnings: tuple[str, ...] = ()
        """Warnings for the start, complete once the listeners are open."""

    @property
    def bound(self) -> tuple[Address, ...]:
        """The addresses of the vending listener, with real ports."""
        return self._vending.bound if self._vending is not None else ()

    @property
    def admin_bound(self) -> tuple[Address, ...]:
        return self._admin.bound if self._admin is not None else ()

    @property
    def gateways_bound(self) -> dict[str, tuple[Address, ...]]:
        """The addresses of each profile's gateway."""
        return {profile: listener.bound for profile, listener in self._gateways.items()}

    def connections(self) -> dict[str, int]:
        """Return the number of open connections by listener."""
        listeners = {"vending": self._vending, "admin": self._admin}
        found = {name: listener.connections for name, listener in listeners.items() if listener is not None}
        if self._gateways:
            found["gateway"] = sum(listener.connections for listener in self._gateways.values())
        return found

    async def open(
        self,
        tokens: Handler,
        admin: Handler,
        fast_path: FastPath | None,
        gateways: Mapping[str, GatewayListener] = MappingProxyType({}),
    ) -> None:
        """Open all of them; `gateways` by profile. Raises `ConfigurationError` when an address cannot be bound."""
        limits = self._settings.limits
        shares = share_open_files(limits.max_connections, gateways=len(gateways))
        self.warnings = (shares.warning,) if shares.warning else ()
        for_vending, for_admin = (replace(limits, max_connections=share) for share in (shares.vending, shares.admin))
        self._vending = Listener(
            HttpServer(tokens, self._sink, "vending", for_vending, fast_path=fast_path, on_most_ended=give_back)
        )
        self._admin = Listener(HttpServer(admin, self._sink, "admin", for_admin, on_most_ended=give_back))
        await self._admin.start(self._settings.admin_listen)
        for profile, gateway in gateways.items():
            http = HttpServer(
                gateway.handler, self._sink, "gateway", for_vending, marks=gateway.marks, on_most_ended=give_back
            )
            self._gateways[profile] = Listener(http)
            await self._gateways[profile].start(gateway.listen)
        await self._vending.start(self._settings.listen)

    def drain(self) -> None:
        """Continue to serve, and close each connection after its next response."""
        for listener in self._opened():
            listener.drain()

    async def close(self, grace_s: Seconds) -> None:
        """Accept no more connections, and let running requests end within `grace_s`."""
        await asyncio.gather(*(listener.stop(grace_s) for listener in self._opened()))

    def _opened(self) -> list[Listener]:
        return [each for each in (self._vending, self._admin, *self._gateways.values()) if each is not None]


def names_of(addresses: Iterable[Address]) -> list[str]:
    """Return the host names among the addresses. `0.0.0.0` is none: browsers connect to loopback for such a URL."""
    hosts = [address.host for address in addresses if address.host and ":" not in address.host]
    return [host for host in hosts if literal_address(host) is None]


def guard_settings(
    settings: Settings, caller_tokens: Callable[[], CallerTokens | None], listen: Iterable[Address]
) -> GuardSettings:
    """Return the settings of the guards of one listener, which listens on `listen`."""
    return GuardSettings(
        require_header=settings.require_header,
        caller_tokens=caller_tokens,
        forward_auth=settings.forward_auth,
        # A connection's own address is always an allowed host.
        allowed_hosts=(*(settings.allowed_hosts or ()), *names_of(listen)),
        allowed_uids=settings.allowed_uids,
    )
