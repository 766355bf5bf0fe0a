"""One partner call under a lease, and the handling of its result.

Once the first byte may have been sent, a lease is only committed or failed, never given back.
"""

from __future__ import annotations

import asyncio
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum, auto
from typing import Literal

from sidecar.core import policy
from sidecar.core.errors import AnswerProblem, FailureKind, PartnerError, StoreError, UnsentError
from sidecar.core.events import LeaseLost, LifetimeLearned, PartnerCalled, PauseStarted
from sidecar.core.model import Credentials, MonotonicTime, Operation, PartnerToken, Profile, Secret, Token, token_id_of
from sidecar.core.ports import Clock, EventSink, Partner
from sidecar.core.shared_state import FENCES_PER_DAY, FailureReport, LearnedLifetime, Pause
from sidecar.vending.credential_rotation import CredentialRotation
from sidecar.vending.replica_state import ReplicaState
from sidecar.vending.store_session import StoreSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to make one call now. Without a `nonce` it is a call on this replica's own share of the budget.

    `known` is the fence of the token that was held when the lease was claimed.
    """

    nonce: str
    fence: int
    send_by: MonotonicTime
    known: int

    @property
    def is_shared(self) -> bool:
        """Whether the store granted it."""
        return bool(self.nonce)


class CallResult(Enum):
    """How a lease ended."""

    FETCHED = auto()
    FAILED = auto()
    """A pause began."""
    UNSENT = auto()
    """Nothing was sent, and the lease was given back."""
    REFRESH_REJECTED = auto()
    """Only the refresh token was rejected. A grant, with a permit of its own, tests the credentials."""


@dataclass(slots=True, eq=False)
class PartnerCall:
    """One call under a lease."""

    lease: Lease
    credentials: Credentials
    _: KW_ONLY
    profile: Profile
    clock: Clock
    sink: EventSink
    partner: Partner
    session: StoreSession
    replica: ReplicaState
    rotation: CredentialRotation
    _replaced: Token | None = field(init=False)
    _refresh_token: Secret | None = field(init=False)
    """None: the call is a grant."""
    _sent_at: MonotonicTime = field(init=False)

    def __post_init__(self) -> None:
        self._replaced = self.replica.token
        self._refresh_token = self._usable_refresh_token()
        self._sent_at = self.clock.monotonic()

    async def run(self) -> CallResult:
        try:
            received = await self._send()
            self._check_lifetime(received)
        except UnsentError:
            if self.clock.monotonic() > self.lease.send_by:
                self._lease_lost("before-call")
            await self._end(None)
            return CallResult.UNSENT
        except PartnerError as error:
            self._called(error)
            return await self._on_failure(error)
        except asyncio.CancelledError:
            # This process stops during a call. Other replicas need not wait for the lease's limit, but the call may
            # have reached the partner and must count.
            await self._on_failure(PartnerError(FailureKind.TIMEOUT))
            raise
        self._called(None)
        await self._on_token(received)
        return CallResult.FETCHED

    def _may_send(self) -> bool:
        """Check the current state again before the call is sent. Also called right before the first byte.

        This process may have been paused since the claim, and another replica may hold the lease by now. A reply of the
        store may have brought a cool-down, or the token that this call was to fetch.
        """
        now, mirror = self.clock.monotonic(), self.replica.mirror
        is_paused = mirror.pause(now) is not None or self.credentials.credentials_id in mirror.credential_blocks(now)
        is_there = self.replica.known_fence > self.lease.known and not self.replica.is_reported
        return now <= self.lease.send_by and not is_paused and not is_there

    def _usable_refresh_token(self) -> Secret | None:
        """Return that of a good token that these credentials obtained, under a lease; else None.

        Without a lease, every replica would use the refresh token that all of them hold. It is used up as soon as
        another token is stored, so the held token must be the stored one.
        """
        token, stored = self._replaced, self.replica.mirror.state
        is_usable = (
            self.lease.is_shared
            and token is not None
            and self.partner.can_refresh
            and token.token_id == stored.token_id
            and token.fence > stored.refresh_dropped
            and token.credentials_id == self.credentials.credentials_id
            and self.replica.is_good(self.clock.monotonic())
        )
        return token.refresh if token is not None and is_usable else None

    @property
    def _operation(self) -> Operation:
        return Operation.GRANT if self._refresh_token is None else Operation.REFRESH

    async def _send(self) -> PartnerToken:
        if not self._may_send():
            # Not even a connection is made.
            raise UnsentError
        if self._refresh_token is not None:
            return await self.partner.refresh(self._refresh_token, self.credentials, self.profile.role, self._may_send)
        return await self.partner.grant(self.credentials, self.profile.role, self._may_send)

    def _check_lifetime(self, received: PartnerToken) -> None:
        """Raise `PartnerError` for a token that expired before it arrived: it would be fetched again and again."""
        age_s = self.clock.monotonic() - self._sent_at
        if received.lifetime_s is not None and policy.usable_s(received.lifetime_s, self.profile) <= age_s:
            raise PartnerError(FailureKind.MALFORMED, problem=AnswerProblem.ENDED)

    def _called(self, error: PartnerError | None) -> None:
        self.sink.emit(
            PartnerCalled(
                profile=self.profile.name,
                operation=self._operation,
                outcome="ok" if error is None else error.kind,
                duration_s=self.clock.monotonic() - self._sent_at,
                detail=None if error is None else error.detail,
                cause="" if error is None else error.cause,
                problem="" if error is None or error.problem is None else error.problem,
            )
        )

    def _lease_lost(self, stage: Literal["before-call", "commit"]) -> None:
        self.sink.emit(LeaseLost(profile=self.profile.name, stage=stage))

    # -- a token came -------------------------------------------------------------------------------------------------

    async def _on_token(self, received: PartnerToken) -> None:
        """Use the token here first, then commit it: a store that is down does not lose the token.

        A newer token that was adopted meanwhile stays. The commit then still ends the lease, where there is one.
        """
        learned = self._learned_lifetime(token_id_of(received.access))
        token = self._token(received, learned)
        self.rotation.prove([token.credentials_id])
        if token.fence >= self.replica.known_fence:
            self.replica.take(token, self._sent_at)
            self.session.announce(fetched=True)
        if not self.lease.is_shared:
            self.replica.record_success(token, learned)
            return
        try:
            committed = await self.session.commit(self.lease.nonce, token, learned, self._sent_at)
        except StoreError:
            self.replica.record_success(token, learned)
        else:
            if not committed.stored:
                self._lease_lost("commit")

    def _token(self, received: PartnerToken, learned: LearnedLifetime) -> Token:
        lifetime_s, lifetime = policy.expected_lifetime(received.lifetime_s, learned, self.profile)
        return Token(
            access=received.access,
            refresh=received.refresh,
            token_id=token_id_of(received.access),
            role=received.role,
            fence=self.lease.fence,
            issued_at=self.replica.store_time.at(self._sent_at),
            lifetime_s=lifetime_s,
            lifetime=lifetime,
            credentials_id=self.credentials.credentials_id,
        )

    def _learned_lifetime(self, token_id: str) -> LearnedLifetime:
        """Return the learned lifetime, unchanged if the replaced token was replaced early and without a report."""
        known, reported = self.replica.mirror.state.learned, self.replica.mirror.state.reported
        rejected = self.replica.is_reported and self.replica.token_id != token_id
        lived = self._replaced is not None and self.replica.age_s(self._sent_at) >= self.replica.refresh_at_s
        if not (rejected or lived):
            return known
        age_s = reported.age_s if rejected and reported is not None else None
        learned = policy.learned_after(known, age_s, self.profile)
        if rejected and learned.learned_s != known.learned_s:
            self.sink.emit(LifetimeLearned(profile=self.profile.name, learned_s=learned.learned_s))
        return learned

    # -- none came ----------------------------------------------------------------------------------------------------

    async def _on_failure(self, error: PartnerError) -> CallResult:
        is_refresh = self._refresh_token is not None
        if is_refresh and error.kind in (FailureKind.UNAUTHORIZED, FailureKind.BAD_REQUEST):
            # For a day the fleet only uses grants. Otherwise each rotation would cost two calls where refresh tokens
            # expire before the refresh point.
            await self._end(None, drop_refresh=self.lease.fence + FENCES_PER_DAY)
            return CallResult.REFRESH_REJECTED
        name, mirror = self.profile.name, self.replica.mirror
        failures = mirror.consecutive_failures(error.kind, self.credentials.credentials_id) + 1
        delay_s = policy.pause_s(error.kind, failures, error.retry_after_s, self.profile, self.clock.jitter())
        self.sink.emit(PauseStarted(profile=name, kind=error.kind, pause_s=delay_s, strikes=failures))
        self.replica.show_failure(error.kind, error.detail)
        pause = Pause(kind=error.kind, left_s=delay_s, consecutive_failures=failures, detail=error.detail)
        # A refresh token is used once. After a failed refresh it is unknown whether the partner still accepts it.
        await self._end(pause, drop_refresh=self._replaced.fence if is_refresh and self._replaced is not None else 0)
        return CallResult.FAILED

    async def _end(self, pause: Pause | None, *, drop_refresh: int = 0) -> None:
        """Report the lease's end to the store. Record it in the replica state if the store did not reply."""
        failed = FailureReport(
            nonce=self.lease.nonce,
            fence=self.lease.fence,
            credentials_id=self.credentials.credentials_id,
            pause=pause,
            drop_refresh=drop_refresh,
            known=self.replica.known_fence,
        )
        if self.lease.is_shared:
            try:
                await self.session.fail(failed)
            except StoreError:
                pass
            else:
                return
        self.replica.record_failure(failed)
