"""The partner's name, or its proxy's, is looked up in a thread of its own: aiohttp's would keep the process alive."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from sidecar.names import Names


class PartnerResolver(AbstractResolver):
    """aiohttp's port for looking names up. It tries the addresses itself, as RFC 8305 does."""

    def __init__(self, names: Names) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of every family: aiohttp leaves out those it was not to use. Raises `OSError`."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
            for address in await self._names.addresses(host)
        ]

    async def close(self) -> None:
        """Nothing to do: what is under way ends by itself."""
