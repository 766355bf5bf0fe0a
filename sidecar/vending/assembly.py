"""Assembles one profile's use cases. The composition root and the tests build the same objects.

One account of a profile: its parts, and its credentials from a source that may change to another account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sidecar.core.errors import NoTokenError
from sidecar.core.model import Credentials, Profile, Seconds
from sidecar.core.ports import Clock, CredentialsSource, EventSink, Partner, SharedState
from sidecar.vending.api import VendedToken
from sidecar.vending.broker import Broker
from sidecar.vending.credential_rotation import CredentialRotation
from sidecar.vending.local_budget import LocalBudgets
from sidecar.vending.outage_budget import OutageBudget
from sidecar.vending.refresher import Beat, Refresher
from sidecar.vending.replica_state import ReplicaState
from sidecar.vending.store_session import StoreSession, WatchedState


@dataclass(frozen=True, slots=True)
class Assembly:
    """One profile's parts: the broker serves requests, the refresher's `run` is a task to start."""

    broker: Broker
    maintainer: Refresher


def assemble(
    profile: Profile,
    *,
    replica_id: str,
    clock: Clock,
    store: SharedState,
    partner: Partner,
    credentials: CredentialsSource,
    sink: EventSink,
    beat: Beat,
    budgets: LocalBudgets | None = None,
) -> Assembly:
    """Build one profile, of one account; `beat` and `budgets` are the process's own.

    Raises `CredentialsError` when no credentials can be read at the start.
    """
    local = (budgets or LocalBudgets(clock)).of(profile)
    session = StoreSession(
        profile=profile,
        replica_id=replica_id,
        clock=clock,
        store=WatchedState(profile.name, store, sink),
        partner=partner,
        rotation=CredentialRotation(profile.name, credentials, sink),
        replica=ReplicaState(profile, clock),
        fallback=OutageBudget(profile, clock, local.share),
        ledger=local.ledger,
        sink=sink,
    )
    broker = Broker(session)
    return Assembly(broker, Refresher(session, broker, beat))


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
