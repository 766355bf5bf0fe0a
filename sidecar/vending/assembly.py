"""Assembles one profile's use cases. The composition root and the tests build the same objects."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.core.model import Profile
from sidecar.core.ports import Clock, CredentialsSource, EventSink, Partner, SharedState
from sidecar.vending.beat import Beat
from sidecar.vending.broker import Broker
from sidecar.vending.credential_rotation import CredentialRotation
from sidecar.vending.local_budget import LocalBudgets
from sidecar.vending.outage_budget import OutageBudget
from sidecar.vending.refresher import Refresher
from sidecar.vending.replica_state import ReplicaState
from sidecar.vending.store_session import StoreSession
from sidecar.vending.watched import WatchedState


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
