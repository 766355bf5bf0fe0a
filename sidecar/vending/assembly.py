"""Puts one profile's use cases together; the composition root and the tests build the same thing."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.core.model import Profile
from sidecar.core.ports import Clock, CredentialsSource, EventSink, Partner, SharedState
from sidecar.vending.beat import Beat
from sidecar.vending.broker import Broker
from sidecar.vending.crew import Crew
from sidecar.vending.fallback import Fallback
from sidecar.vending.keyring import Keyring
from sidecar.vending.local_budget import LocalBudgets
from sidecar.vending.maintainer import Maintainer
from sidecar.vending.view import View
from sidecar.vending.watched import WatchedState


@dataclass(frozen=True, slots=True)
class Assembly:
    """One profile's parts: the broker serves requests, the maintainer's `run` is a task to start."""

    broker: Broker
    maintainer: Maintainer


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

    Raises `CredentialsError` when there is no readable pair to begin with.
    """
    local = (budgets or LocalBudgets(clock)).of(profile)
    crew = Crew(
        profile=profile,
        replica_id=replica_id,
        clock=clock,
        store=WatchedState(profile.name, store, sink),
        partner=partner,
        keyring=Keyring(profile.name, credentials, sink),
        view=View(profile, clock),
        fallback=Fallback(profile, clock, local.share),
        ledger=local.ledger,
        sink=sink,
    )
    broker = Broker(crew)
    return Assembly(broker, Maintainer(crew, broker, beat))
