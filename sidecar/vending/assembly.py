"""One account of a profile: its parts, and its credentials from a source that may change to another account.

The composition root and the tests build the same objects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sidecar.core.errors import NoTokenError
from sidecar.core.model import Credentials, Profile, Seconds
from sidecar.core.ports import Clock, CredentialsSource, EventSink, Partner, SharedState
from sidecar.vending.api import VendedToken
from sidecar.vending.broker import Broker
from sidecar.vending.call_blockers import CallBlockers
from sidecar.vending.credential_rotation import CredentialRotation
from sidecar.vending.local_budget import LocalBudgets, OutageBudget
from sidecar.vending.partner_call import PartnerCall
from sidecar.vending.refresh_attempt import RefreshAttempt
from sidecar.vending.refresher import Beat, Refresher
from sidecar.vending.rejection_reports import Reports
from sidecar.vending.replica_state import ReplicaState
from sidecar.vending.singleflight import WaiterDeadlines
from sidecar.vending.snapshot import Snapshots
from sidecar.vending.store_session import StoreSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """The parts of one account: the broker serves requests, the refresher's `run` is a task to start."""

    broker: Broker
    refresher: Refresher
    replica: ReplicaState
    outage: OutageBudget


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
    """Build the parts; `beat` and `budgets` are the process's own.

    Raises `CredentialsError` when no credentials can be read at the start.
    """
    budget = (budgets or LocalBudgets(clock)).of(profile)
    rotation = CredentialRotation(profile.name, credentials, sink)
    replica = ReplicaState(profile, clock)
    outage = OutageBudget(profile, clock, budget, replica)
    session = StoreSession(
        profile_name=profile.name,
        replica_id=replica_id,
        store=store,
        replica=replica,
        rotation=rotation,
        outage=outage,
        clock=clock,
        sink=sink,
    )
    blockers = CallBlockers(
        clock=clock,
        replica=replica,
        session=session,
        rotation=rotation,
        budget=budget,
        outage=outage,
    )

    new_call = partial(
        PartnerCall,
        profile=profile,
        clock=clock,
        sink=sink,
        partner=partner,
        session=session,
        replica=replica,
        rotation=rotation,
    )
    new_attempt = partial(
        RefreshAttempt,
        profile=profile,
        clock=clock,
        session=session,
        replica=replica,
        rotation=rotation,
        budget=budget,
        outage=outage,
        blockers=blockers,
        new_call=new_call,
    )
    refresher = Refresher(
        profile=profile,
        clock=clock,
        session=session,
        replica=replica,
        rotation=rotation,
        blockers=blockers,
        new_attempt=new_attempt,
        beat=beat,
        sink=sink,
    )
    deadlines = WaiterDeadlines()
    broker = Broker(
        profile=profile,
        clock=clock,
        replica=replica,
        blockers=blockers,
        refresher=refresher,
        deadlines=deadlines,
        reports=Reports(
            profile=profile,
            replica=replica,
            session=session,
            blockers=blockers,
            refresher=refresher,
            deadlines=deadlines,
            sink=sink,
        ),
        snapshots=Snapshots(
            profile=profile,
            clock=clock,
            replica=replica,
            session=session,
            rotation=rotation,
            blockers=blockers,
            refresher=refresher,
        ),
    )
    return Assembly(broker=broker, refresher=refresher, replica=replica, outage=outage)


class AccountCredentials:
    """A `CredentialsSource` that returns only credentials of its own account: the last that `found` put into `latest`.

    While `reads` is set it reads the source, and passes the result to `found`, whatever account it belongs to.
    """

    def __init__(self, latest: Credentials, source: CredentialsSource, found: Callable[[Credentials], None]) -> None:
        self._source = source
        self._found = found
        self.latest = latest
        self.reads = False

    def read(self) -> Credentials:
        """Return the newest credentials of this account. Raises `CredentialsError` when the source cannot be read."""
        if self.reads:
            self._found(self._source.read())
        return self.latest


@dataclass(eq=False, slots=True, kw_only=True)
class Account:
    """One account's parts, their credentials, and the refresher's task while it runs."""

    name: str
    credentials: AccountCredentials
    parts: Assembly
    task: asyncio.Task[None] | None = None

    async def vend(self, min_ttl_s: Seconds) -> VendedToken | NoTokenError:
        """Return the token or the error that a caller would get. Raises `BadRequestError`."""
        try:
            return await self.parts.broker.vend(min_ttl_s)
        except NoTokenError as error:
            return error

    def take_callers_of(self, other: Account) -> None:
        """Take over the time of their last request, and the token ids that they may still report."""
        self.parts.refresher.touch(other.parts.refresher.touched_at)
        self.parts.replica.take_ids_of(other.parts.replica)
