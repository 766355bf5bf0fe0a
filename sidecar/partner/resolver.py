"""Our resolver as an aiohttp resolver, for the host of the partner or of a proxy."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from sidecar.resolver import Resolver


class PartnerResolver(AbstractResolver):
    """Resolves for aiohttp, which tries the addresses as in RFC 8305. Its own resolver uses the loop's threads."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return addresses of all families; aiohttp filters them. Raises `OSError`."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
            for address in await self._resolver.resolve(host)
        ]

    async def close(self) -> None:
        """Do nothing: look-ups end on their own, and nothing waits for them."""
