"""One partner call under a lease, and what is done with its end.

After the first byte may have gone out a lease is never given back, only committed or failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal

from sidecar.core import policy
from sidecar.core.errors import PartnerError, StoreError, UnsentError
from sidecar.core.events import (
    FlightResult,
    LeaseLost,
    LifetimeLearned,
    PartnerCalled,
    PauseStarted,
)
from sidecar.core.failures import AnswerProblem, FailureKind
from sidecar.core.model import Credentials, Moment, Operation, PartnerToken, Token, token_id_of
from sidecar.core.policy import Condition
from sidecar.core.shared import Committed, Failed, Lesson, Pause
from sidecar.vending.crew import Crew
from sidecar.vending.recording import OwnFailure

REFUSED_REFRESH_FENCES = 24 * 3600 * 1000
"""After a refused refresh the fleet only grants for a day: fences grow by a thousand a second at least. Where refresh
tokens end before the refresh point, each rotation would cost two calls otherwise."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to make one call now. `shared` is False for a call on this replica's own share of the budget.

    `known` is the fence of the token that was held when it was asked for.
    """

    nonce: str
    fence: int
    send_by: Moment
    shared: bool
    known: int


class Call:
    """One call. `run` answers None when the lease ended without one that counts, and a new claim is due."""

    def __init__(self, crew: Crew, lease: Lease, credentials: Credentials) -> None:
        self._crew = crew
        self._view = crew.view
        self._lease = lease
        self._credentials = credentials
        self._replaced = crew.view.token
        self._operation = self._choose()
        self._sent_at: Moment = crew.clock.monotonic()

    async def run(self) -> FlightResult | None:
        self._view.calling = self._lease.fence
        try:
            answer = await self._send()
            self._check_life(answer)
        except UnsentError:
            await self._unsent()
            return None
        except PartnerError as error:
            self._called(error.kind, error)
            return await self._failed(error)
        except asyncio.CancelledError:
            # We are stopping with a call out. The others need not wait for the lease's limit, but they must not
            # take it for a call that never was.
            await self._failed(PartnerError(FailureKind.TIMEOUT))
            raise
        else:
            self._called("ok", None)
            await self._landed(answer)
            return "fetched"
        finally:
            self._view.calling = 0

    def _may_send(self) -> bool:
        """Look once more at what was learned since the lease was asked for; asked right before the first byte too.

        This process may have been stopped since: the lease may be somebody else's by now. A look may have told of a
        cool-down, or brought the token that this call was to fetch.
        """
        view, ours = self._view, self._credentials.credentials_id
        in_time = self._crew.clock.monotonic() <= self._lease.send_by
        is_paused = view.pause() is not None or ours in view.refused()
        is_there = view.known_fence > self._lease.known and not view.rejected
        return in_time and not is_paused and not is_there

    def _choose(self) -> Operation:
        """Refresh only a good token, by the pair that got it, under a lease: anything else needs a grant to be sure.

        Without one, every replica would spend the refresh token that all of them hold. It is spent as soon as another
        token is stored, so the held one must be the stored one.
        """
        token = self._replaced
        if (
            self._lease.shared
            and token is not None
            and token.refresh is not None
            and self._crew.partner.can_refresh
            and token.token_id == self._view.state.token_id
            and token.fence > self._view.state.refresh_dropped
            and token.credentials_id == self._credentials.credentials_id
            and self._view.condition(self._crew.clock.monotonic()) in (Condition.FRESH, Condition.STALE)
        ):
            return Operation.REFRESH
        return Operation.GRANT

    async def _send(self) -> PartnerToken:
        role, partner = self._crew.profile.role, self._crew.partner
        if not self._may_send():
            # Not even a connection is made.
            raise UnsentError
        if self._operation is Operation.REFRESH and self._replaced is not None and self._replaced.refresh is not None:
            return await partner.refresh(self._replaced.refresh, role, self._may_send)
        return await partner.grant(self._credentials, role, self._may_send)

    def _check_life(self, answer: PartnerToken) -> None:
        """A token that is over on arrival is no answer: taken for one, it would be fetched again and again."""
        age_s = self._crew.clock.monotonic() - self._sent_at
        if answer.lifetime_s is not None and policy.usable_s(answer.lifetime_s, self._crew.profile) <= age_s:
            raise PartnerError(FailureKind.MALFORMED, problem=AnswerProblem.ENDED)

    def _called(self, outcome: FailureKind | Literal["ok"], error: PartnerError | None) -> None:
        self._crew.sink.emit(
            PartnerCalled(
                profile=self._crew.profile.name,
                operation=self._operation,
                outcome=outcome,
                duration_s=self._crew.clock.monotonic() - self._sent_at,
                detail=None if error is None else error.detail,
                cause="" if error is None else error.cause,
                problem="" if error is None or error.problem is None else error.problem,
            )
        )

    async def _unsent(self) -> None:
        """Give the right back: nothing was sent."""
        if self._crew.clock.monotonic() > self._lease.send_by:
            self._lease_lost("before-call")
        await self._end(None)

    def _lease_lost(self, stage: Literal["before-call", "commit"]) -> None:
        self._crew.sink.emit(LeaseLost(profile=self._crew.profile.name, stage=stage))

    # -- a token came -------------------------------------------------------------------------------------------------

    async def _landed(self, answer: PartnerToken) -> None:
        """Use the token here first, then commit it: a store that is down does not lose a token.

        Unless a newer one was adopted meanwhile, which stays. Then the commit still ends the lease, where there is one.
        """
        lesson = self._lesson(token_id_of(answer.access))
        token = self._token(answer, lesson)
        self._crew.keyring.prove([token.credentials_id])
        if token.fence >= self._view.known_fence:
            self._view.take(token, self._sent_at)
            self._crew.announce(fetched=True)
        if not self._lease.shared:
            self._view.note_success(token, lesson)
            return
        try:
            committed = await self._crew.exchange(lambda: self._commit(token, lesson))
        except StoreError:
            self._view.note_success(token, lesson)
        else:
            if not committed.stored:
                self._lease_lost("commit")

    def _commit(self, token: Token, lesson: Lesson) -> Awaitable[Committed]:
        age_s = self._crew.clock.monotonic() - self._sent_at
        return self._crew.store.commit(self._lease.nonce, token, age_s, lesson)

    def _token(self, answer: PartnerToken, lesson: Lesson) -> Token:
        lifetime_s, lifetime = policy.believed_lifetime(answer.lifetime_s, lesson, self._crew.profile)
        return Token(
            access=answer.access,
            refresh=answer.refresh,
            token_id=token_id_of(answer.access),
            role=answer.role,
            fence=self._lease.fence,
            issued_at=self._view.store_time.at(self._sent_at),
            lifetime_s=lifetime_s,
            lifetime=lifetime,
            credentials_id=self._credentials.credentials_id,
        )

    def _lesson(self, token_id: str) -> Lesson:
        """What the end of the replaced token teaches: nothing when it came early and nobody had complained."""
        known, reported = self._view.state.lesson, self._view.state.reported
        refused = self._view.rejected and self._view.token_id != token_id
        lived = self._replaced is not None and self._view.age_s(self._sent_at) >= self._view.refresh_at_s
        if not (refused or lived):
            return known
        age_s = reported.age_s if refused and reported is not None else None
        lesson = policy.learn(known, age_s, self._crew.profile)
        if refused and lesson.learned_s != known.learned_s:
            self._crew.sink.emit(LifetimeLearned(profile=self._crew.profile.name, learned_s=lesson.learned_s))
        return lesson

    # -- none came ----------------------------------------------------------------------------------------------------

    async def _failed(self, error: PartnerError) -> FlightResult | None:
        if self._operation is Operation.REFRESH and error.kind in (FailureKind.REJECTED, FailureKind.REFUSED):
            # Only the refresh token is refused; a grant, with a permit of its own, tells about the credentials.
            await self._end(None, drop_refresh=self._lease.fence + REFUSED_REFRESH_FENCES)
            return None
        crew = self._crew
        strikes = self._view.strikes(error.kind, self._credentials.credentials_id) + 1
        delay_s = policy.pause_s(error.kind, strikes, error.retry_after_s, crew.profile, crew.clock.jitter())
        crew.sink.emit(PauseStarted(profile=crew.profile.name, kind=error.kind, pause_s=delay_s, strikes=strikes))
        self._view.last_failure = OwnFailure(error.kind, error.detail, crew.clock.monotonic())
        pause = Pause(kind=error.kind, left_s=delay_s, strikes=strikes, detail=error.detail)
        # Used once, then replaced: after any failed refresh nobody knows whether the partner still takes the token.
        refreshed = self._replaced if self._operation is Operation.REFRESH else None
        await self._end(pause, drop_refresh=refreshed.fence if refreshed is not None else 0)
        return "failed"

    async def _end(self, pause: Pause | None, *, drop_refresh: int = 0) -> None:
        """Tell the store how the lease ended; keep it in mind when the store cannot be told."""
        failed = Failed(
            nonce=self._lease.nonce,
            fence=self._lease.fence,
            credentials_id=self._credentials.credentials_id,
            pause=pause,
            drop_refresh=drop_refresh,
            known=self._view.known_fence,
        )
        if self._lease.shared:
            try:
                await self._crew.exchange(lambda: self._crew.store.fail(failed))
            except StoreError:
                pass
            else:
                return
        self._view.note_failure(failed)
