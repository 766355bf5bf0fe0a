"""One account of a profile: its parts, and its credentials from a source that may change to another account."""

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
    """A `CredentialsSource` that returns only credentials of its own account.

    While `reads` is set it reads the source and passes the result to `found`, whatever account it belongs to. The
    receiver puts credentials of this account into `pair`.
    """

    def __init__(self, pair: Credentials, source: CredentialsSource, found: Callable[[Credentials], None]) -> None:
        self._source = source
        self._found = found
        self.pair = pair
        self.reads = False

    def read(self) -> Credentials:
        """Return the newest credentials of this account. Raises `CredentialsError` when the source cannot be read."""
        if self.reads:
            self._found(self._source.read())
        return self.pair


@dataclass(eq=False, slots=True)
class Account:
    """One account's parts, their credentials, and the refresher's task while it runs."""

    name: str
    credentials: AccountCredentials
    broker: Broker
    maintainer: Refresher
    task: asyncio.Task[None] | None = None

    async def ask(self, min_ttl_s: Seconds) -> VendedToken | NoTokenError:
        """Return the token or the error that a caller would get. Raises `BadRequestError`."""
        try:
            return await self.broker.vend(min_ttl_s)
        except NoTokenError as blocker:
            return blocker

    async def close(self) -> None:
        self.maintainer.stop()
        await self.broker.close()
