"""One partner call under a lease, and the handling of its result.

Once the first byte may have been sent, a lease is only committed or failed, never given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Literal

from sidecar.core import policy
from sidecar.core.errors import AnswerProblem, FailureKind, PartnerError, StoreError, UnsentError
from sidecar.core.events import (
    FlightResult,
    LeaseLost,
    LifetimeLearned,
    PartnerCalled,
    PauseStarted,
)
from sidecar.core.model import Credentials, MonotonicTime, Operation, PartnerToken, Token, token_id_of
from sidecar.core.policy import Condition
from sidecar.core.shared_state import Committed, FailureReport, LearnedLifetime, Pause
from sidecar.vending.recording import OwnFailure
from sidecar.vending.store_session import StoreSession

REFUSED_REFRESH_FENCES = 24 * 3600 * 1000
"""After a rejected refresh the fleet only uses grants for a day: fences grow by at least 1000 a second. Otherwise each
rotation would cost two calls where refresh tokens expire before the refresh point."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to make one call now. `shared` is False for a call on this replica's own share of the budget.

    `known` is the fence of the token that was held when the lease was claimed.
    """

    nonce: str
    fence: int
    send_by: MonotonicTime
    shared: bool
    known: int


class Call:
    """One call. `run` returns None when the lease ended without a call that counts. A new claim is then due."""

    def __init__(self, session: StoreSession, lease: Lease, credentials: Credentials) -> None:
        self._session = session
        self._replica = session.replica
        self._lease = lease
        self._credentials = credentials
        self._replaced = session.replica.token
        self._operation = self._choose()
        self._sent_at: MonotonicTime = session.clock.monotonic()

    async def run(self) -> FlightResult | None:
        self._replica.calling = self._lease.fence
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
            # This process stops during a call. Other replicas need not wait for the lease's limit, but the call may
            # have reached the partner and must count.
            await self._failed(PartnerError(FailureKind.TIMEOUT))
            raise
        else:
            self._called("ok", None)
            await self._landed(answer)
            return "fetched"
        finally:
            self._replica.calling = 0

    def _may_send(self) -> bool:
        """Check the current state again before the call is sent. Also called right before the first byte.

        This process may have been paused since the claim, and another replica may hold the lease by now. A reply of the
        store may have brought a cool-down, or the token that this call was to fetch.
        """
        replica, ours = self._replica, self._credentials.credentials_id
        in_time = self._session.clock.monotonic() <= self._lease.send_by
        is_paused = replica.pause() is not None or ours in replica.credential_blocks()
        is_there = replica.known_fence > self._lease.known and not replica.is_reported
        return in_time and not is_paused and not is_there

    def _choose(self) -> Operation:
        """Choose a refresh only for a good token, with the credentials that obtained it, under a lease; else a grant.

        Without a lease, every replica would use the refresh token that all of them hold. It is used up as soon as
        another token is stored, so the held token must be the stored one.
        """
        token = self._replaced
        if (
            self._lease.shared
            and token is not None
            and token.refresh is not None
            and self._session.partner.can_refresh
            and token.token_id == self._replica.state.token_id
            and token.fence > self._replica.state.refresh_dropped
            and token.credentials_id == self._credentials.credentials_id
            and self._replica.condition(self._session.clock.monotonic()) in (Condition.FRESH, Condition.STALE)
        ):
            return Operation.REFRESH
        return Operation.GRANT

    async def _send(self) -> PartnerToken:
        role, partner = self._session.profile.role, self._session.partner
        if not self._may_send():
            # Not even a connection is made.
            raise UnsentError
        if self._operation is Operation.REFRESH and self._replaced is not None and self._replaced.refresh is not None:
            return await partner.refresh(self._replaced.refresh, role, self._may_send)
        return await partner.grant(self._credentials, role, self._may_send)

    def _check_life(self, answer: PartnerToken) -> None:
        """Raise `PartnerError` for a token that expired before it arrived: it would be fetched again and again."""
        age_s = self._session.clock.monotonic() - self._sent_at
        if answer.lifetime_s is not None and policy.usable_s(answer.lifetime_s, self._session.profile) <= age_s:
            raise PartnerError(FailureKind.MALFORMED, problem=AnswerProblem.ENDED)

    def _called(self, outcome: FailureKind | Literal["ok"], error: PartnerError | None) -> None:
        self._session.sink.emit(
            PartnerCalled(
                profile=self._session.profile.name,
                operation=self._operation,
                outcome=outcome,
                duration_s=self._session.clock.monotonic() - self._sent_at,
                detail=None if error is None else error.detail,
                cause="" if error is None else error.cause,
                problem="" if error is None or error.problem is None else error.problem,
            )
        )

    async def _unsent(self) -> None:
        """Give the lease back: nothing was sent."""
        if self._session.clock.monotonic() > self._lease.send_by:
            self._lease_lost("before-call")
        await self._end(None)

    def _lease_lost(self, stage: Literal["before-call", "commit"]) -> None:
        self._session.sink.emit(LeaseLost(profile=self._session.profile.name, stage=stage))

    # -- a token came -------------------------------------------------------------------------------------------------

    async def _landed(self, answer: PartnerToken) -> None:
        """Use the token here first, then commit it: a store that is down does not lose the token.

        A newer token that was adopted meanwhile stays. The commit then still ends the lease, where there is one.
        """
        learned = self._learned_lifetime(token_id_of(answer.access))
        token = self._token(answer, learned)
        self._session.rotation.prove([token.credentials_id])
        if token.fence >= self._replica.known_fence:
            self._replica.take(token, self._sent_at)
            self._session.announce(fetched=True)
        if not self._lease.shared:
            self._replica.note_success(token, learned)
            return
        try:
            committed = await self._session.exchange(lambda: self._commit(token, learned))
        except StoreError:
            self._replica.note_success(token, learned)
        else:
            if not committed.stored:
                self._lease_lost("commit")

    def _commit(self, token: Token, learned: LearnedLifetime) -> Awaitable[Committed]:
        age_s = self._session.clock.monotonic() - self._sent_at
        return self._session.store.commit(self._lease.nonce, token, age_s, learned)

    def _token(self, answer: PartnerToken, learned: LearnedLifetime) -> Token:
        lifetime_s, lifetime = policy.expected_lifetime(answer.lifetime_s, learned, self._session.profile)
        return Token(
            access=answer.access,
            refresh=answer.refresh,
            token_id=token_id_of(answer.access),
            role=answer.role,
            fence=self._lease.fence,
            issued_at=self._replica.store_time.at(self._sent_at),
            lifetime_s=lifetime_s,
            lifetime=lifetime,
            credentials_id=self._credentials.credentials_id,
        )

    def _learned_lifetime(self, token_id: str) -> LearnedLifetime:
        """Return the learned lifetime, unchanged if the replaced token was replaced early and without a report."""
        known, reported = self._replica.state.learned, self._replica.state.reported
        refused = self._replica.is_reported and self._replica.token_id != token_id
        lived = self._replaced is not None and self._replica.age_s(self._sent_at) >= self._replica.refresh_at_s
        if not (refused or lived):
            return known
        age_s = reported.age_s if refused and reported is not None else None
        learned = policy.learn(known, age_s, self._session.profile)
        if refused and learned.learned_s != known.learned_s:
            self._session.sink.emit(LifetimeLearned(profile=self._session.profile.name, learned_s=learned.learned_s))
        return learned

    # -- none came ----------------------------------------------------------------------------------------------------

    async def _failed(self, error: PartnerError) -> FlightResult | None:
        if self._operation is Operation.REFRESH and error.kind in (FailureKind.UNAUTHORIZED, FailureKind.BAD_REQUEST):
            # Only the refresh token is rejected. A grant, with a permit of its own, tests the credentials.
            await self._end(None, drop_refresh=self._lease.fence + REFUSED_REFRESH_FENCES)
            return None
        session = self._session
        strikes = self._replica.strikes(error.kind, self._credentials.credentials_id) + 1
        delay_s = policy.pause_s(error.kind, strikes, error.retry_after_s, session.profile, session.clock.jitter())
        session.sink.emit(PauseStarted(profile=session.profile.name, kind=error.kind, pause_s=delay_s, strikes=strikes))
        self._replica.last_failure = OwnFailure(error.kind, error.detail, session.clock.monotonic())
        pause = Pause(kind=error.kind, left_s=delay_s, strikes=strikes, detail=error.detail)
        # A refresh token is used once. After a failed refresh it is unknown whether the partner still accepts it.
        refreshed = self._replaced if self._operation is Operation.REFRESH else None
        await self._end(pause, drop_refresh=refreshed.fence if refreshed is not None else 0)
        return "failed"

    async def _end(self, pause: Pause | None, *, drop_refresh: int = 0) -> None:
        """Report the lease's end to the store. Note it in the replica state without the store."""
        failed = FailureReport(
            nonce=self._lease.nonce,
            fence=self._lease.fence,
            credentials_id=self._credentials.credentials_id,
            pause=pause,
            drop_refresh=drop_refresh,
            known=self._replica.known_fence,
        )
        if self._lease.shared:
            try:
                await self._session.exchange(lambda: self._session.store.fail(failed))
            except StoreError:
                pass
            else:
                return
        self._replica.note_failure(failed)
