"""Apps report that the partner rejected a token. The store is asked first: a replica may have replaced it already."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sidecar.core.errors import StoreError
from sidecar.core.events import TokenReported
from sidecar.core.model import Profile
from sidecar.core.ports import EventSink
from sidecar.core.shared_state import Rejection
from sidecar.vending.api import Report
from sidecar.vending.call_blockers import CallBlockers
from sidecar.vending.refresher import Refresher
from sidecar.vending.replica_state import ReplicaState
from sidecar.vending.singleflight import SingleFlight, WaiterDeadlines
from sidecar.vending.store_session import StoreSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Takes the reports of one profile."""

    profile: Profile
    replica: ReplicaState
    session: StoreSession
    blockers: CallBlockers
    refresher: Refresher
    deadlines: WaiterDeadlines
    sink: EventSink
    _looks: SingleFlight[str, None] = field(default_factory=SingleFlight, init=False)
    _rejections: SingleFlight[str, Rejection] = field(default_factory=SingleFlight, init=False)

    async def take(self, token_id: str) -> Report:
        """Return the verdict, without a store operation where this replica knows it."""
        try:
            async with self.deadlines.within(self.profile.request_timeout_s):
                report = await self._judge(token_id)
        except TimeoutError:
            report = self._out_of_time(token_id)
        report = replace(report, known=self._holds(token_id) or token_id in self.replica.replaced_ids)
        named = token_id if report.known else ""
        self.sink.emit(TokenReported(profile=self.profile.name, token_id=named, verdict=report.verdict))
        return report

    async def _judge(self, token_id: str) -> Report:
        replica = self.replica
        if token_id in replica.replaced_ids and not self._holds(token_id):
            return Report("already-replaced")
        try:
            if not self._holds(token_id):
                # Unknown ids share one read of the store at a time, however many an app makes up. None is rejected.
                await self._looks.join("look", self.session.peek)
                if not self._holds(token_id):
                    return self._late()
            return await self._reject(token_id)
        except StoreError:
            return self._noted(token_id) if self._holds(token_id) else self._late()

    async def _reject(self, token_id: str) -> Report:
        """Report the held token to the store. Raises `StoreError`."""
        if self._is_confirmed(token_id):
            return Report("confirmed")
        if self.replica.is_reported:
            return self._refreshing()
        rejection = await self._ask(token_id)
        if not rejection.current and not rejection.confirmed:
            # The store has a newer token, or has lost ours. This look adopts the newer one or seeds the store.
            await self._looks.join("look", self.session.peek)
            if not self._holds(token_id):
                return self._late()
            rejection = await self._ask(token_id)
        if rejection.confirmed:
            return Report("confirmed")
        if rejection.current:
            return self._refreshing()
        # The store has another token that cannot be opened here. The held one is vended until there is a newer one.
        return self._noted(token_id) if self._holds(token_id) else self._late()

    def _late(self) -> Report:
        """Return the verdict on a token that is not the held one. Without a held one, one is being fetched."""
        return Report("already-replaced") if self.replica.token is not None else self._refreshing()

    def _out_of_time(self, token_id: str) -> Report:
        """Note the report here: the store may not have it. A held token is then no longer vended as good."""
        if self._holds(token_id) and not self.replica.is_reported and not self._is_confirmed(token_id):
            self.replica.record_report(token_id)
        return Report("later", retry_after_s=1)

    def _noted(self, token_id: str) -> Report:
        """Note the report of the held token in the replica state, because the store cannot record it."""
        self.replica.record_report(token_id)
        return self._refreshing()

    async def _ask(self, token_id: str) -> Rejection:
        return await self._rejections.join(token_id, lambda: self.session.reject(token_id))

    def _is_confirmed(self, token_id: str) -> bool:
        confirmed = self.replica.mirror.state.confirmed
        return confirmed is not None and confirmed.token_id == token_id

    def _holds(self, token_id: str) -> bool:
        return self.replica.token_id == token_id

    def _refreshing(self) -> Report:
        blocker = None if self.refresher.is_refreshing else self.blockers.find(caller_requested=True)
        if blocker is not None:
            return Report("later", retry_after_s=blocker.retry_after_s)
        self.refresher.request()
        return Report("refreshing")
