"""A token provider whose token changes when it is reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sidecar.vending.api import Report, VendedToken
from tests.support.fake_provider import FakeProvider, vended


class TokensInTurn(FakeProvider):
    """Has the first of `tokens`, or none if it is an error, until it is reported; then the next. The last one stays.

    `on_use` is called when a token is taken.
    """

    def __init__(self, *tokens: VendedToken | Exception) -> None:
        super().__init__()
        self.tokens = list(tokens) or [vended()]
        self.on_use: Callable[[], None] = lambda: None
        self.free = asyncio.Event()
        self.free.set()

    def current(self) -> VendedToken | None:
        first = self.tokens[0]
        if isinstance(first, Exception) or first.suspect or not self.free.is_set():
            return None
        self.on_use()
        return first

    async def vend(self, min_ttl_s: float = 0) -> VendedToken:
        self.waiting.set()
        await self.free.wait()
        first = self.tokens[0]
        if isinstance(first, Exception):
            raise first
        self.on_use()
        return first

    async def report(self, token_id: str) -> Report:
        first = self.tokens[0]
        if len(self.tokens) > 1 and isinstance(first, VendedToken) and first.token.token_id == token_id:
            self.tokens.pop(0)
        return await super().report(token_id)
