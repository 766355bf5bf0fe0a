"""Apps say that the partner refused a token. The store is asked first: somebody may have replaced it already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sidecar.core.errors import StoreError
from sidecar.core.events import TokenReported
from sidecar.core.model import Seconds
from sidecar.core.shared import Rejection
from sidecar.vending.crew import Crew
from sidecar.vending.obstacle import obstacle
from sidecar.vending.patience import Patience
from sidecar.vending.singleflight import SingleFlight
from sidecar.vending.vendor import Report


class Reports:
    """Takes the reports of one profile; `wake` has the maintainer look at once, `flying` tells of a running flight."""

    def __init__(self, crew: Crew, patience: Patience, flying: Callable[[], bool], wake: Callable[[], None]) -> None:
        self._crew = crew
        self._view = crew.view
        self._patience = patience
        self._flying = flying
        self._wake = wake
        self._looks: SingleFlight[str, None] = SingleFlight()
        self._rejections: SingleFlight[str, Rejection] = SingleFlight()

    async def take(self, token_id: str) -> Report:
        """The verdict; costs the store nothing where this replica knows it."""
        try:
            async with self._patience.within(self._crew.profile.request_timeout_s):
                report = await self._judge(token_id)
        except TimeoutError:
            report = self._out_of_time(token_id)
        report = replace(report, known=self._holds(token_id) or token_id in self._view.replaced_ids)
        named = token_id if report.known else ""
        self._crew.sink.emit(TokenReported(profile=self._crew.profile.name, token_id=named, verdict=report.verdict))
        return report

    async def _judge(self, token_id: str) -> Report:
        view = self._view
        if token_id in view.replaced_ids and not self._holds(token_id):
            return Report("already-replaced")
        try:
            if not self._holds(token_id):
                # However many ids an app makes up, they share one look at a time; nothing of theirs is rejected.
                await self._looks.join("look", self._crew.peek)
                if not self._holds(token_id):
                    return self._late()
            return await self._reject(token_id)
        except StoreError:
            return self._noted(token_id) if self._holds(token_id) else self._late()

    async def _reject(self, token_id: str) -> Report:
        """The token is the one held here. Raises `StoreError`."""
        if self._is_confirmed(token_id):
            return Report("confirmed")
        if self._view.rejected:
            return self._refreshing()
        rejection = await self._ask(token_id)
        if not rejection.current and not rejection.confirmed:
            # The store has a newer token, which is adopted now, or has lost ours, and is given it first.
            await self._looks.join("look", self._crew.peek)
            if not self._holds(token_id):
                return self._late()
            rejection = await self._ask(token_id)
        if rejection.confirmed:
            return Report("confirmed")
        if rejection.current:
            return self._refreshing()
        # The store has another token, which cannot be opened here; this one is vended on until there is a newer.
        return self._noted(token_id) if self._holds(token_id) else self._late()

    def _late(self) -> Report:
        """The token is not the held one. Without any, one is being fetched."""
        return Report("already-replaced") if self._view.token is not None else self._refreshing()

    def _out_of_time(self, token_id: str) -> Report:
        """Nobody knows whether the store heard of it: a token that is held is vended no more as good."""
        if self._holds(token_id) and not self._view.rejected and not self._is_confirmed(token_id):
            self._view.note_rejected(token_id, self._age_s())
        return Report("later", 1)

    def _noted(self, token_id: str) -> Report:
        """What the store cannot be told of a token that is held, this replica keeps in mind."""
        self._view.note_rejected(token_id, self._age_s())
        return self._refreshing()

    async def _ask(self, token_id: str) -> Rejection:
        return await self._rejections.join(
            token_id, lambda: self._crew.exchange(lambda: self._crew.store.reject(token_id, self._age_s()))
        )

    def _age_s(self) -> Seconds:
        return self._view.age_s(self._crew.clock.monotonic())

    def _is_confirmed(self, token_id: str) -> bool:
        confirmed = self._view.state.confirmed
        return confirmed is not None and confirmed.token_id == token_id

    def _holds(self, token_id: str) -> bool:
        return self._view.token_id == token_id

    def _refreshing(self) -> Report:
        no = None if self._flying() else obstacle(self._crew, on_demand=True)
        if no is not None:
            return Report("later", no.retry_after_s)
        self._wake()
        return Report("refreshing")
