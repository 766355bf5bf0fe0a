"""One account of a profile: its parts, and its credentials out of a source that may go over to another account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sidecar.core.errors import NoTokenError
from sidecar.core.model import Credentials, Seconds
from sidecar.core.ports import CredentialsSource
from sidecar.vending.api import VendedToken
from sidecar.vending.broker import Broker
from sidecar.vending.refresher import Refresher


class AccountCredentials:
    """A `CredentialsSource` that only ever returns pairs of its own account.

    While `reads` is set it reads the source and passes on what it found, whoever's it is. The receiver puts a pair of
    this account into `pair`.
    """

    def __init__(self, pair: Credentials, source: CredentialsSource, found: Callable[[Credentials], None]) -> None:
        self._source = source
        self._found = found
        self.pair = pair
        self.reads = False

    def read(self) -> Credentials:
        """The newest pair of this account. Raises `CredentialsError` when the source cannot be read."""
        if self.reads:
            self._found(self._source.read())
        return self.pair


@dataclass(eq=False, slots=True)
class Account:
    """One account's parts, the credentials they are given, and the task of its maintainer while it runs."""

    name: str
    credentials: AccountCredentials
    broker: Broker
    maintainer: Refresher
    task: asyncio.Task[None] | None = None

    async def ask(self, min_ttl_s: Seconds) -> VendedToken | NoTokenError:
        """What a caller would get. Raises `BadRequestError`."""
        try:
            return await self.broker.vend(min_ttl_s)
        except NoTokenError as blocker:
            return blocker

    async def close(self) -> None:
        self.maintainer.stop()
        await self.broker.close()
