"""One refresh attempt: all callers in this process that need a token wait for the same attempt.

claim ─┬─ Adopt ──────────────────────────────► Adopted
       ├─ Held ── wait, claim again
       ├─ CoolingDown, OverBudget ────────────► Blocked
       ├─ Granted ── call ─┬─ token, commit ──► Fetched
       │                   ├─ failure, fail ──► Blocked
       │                   └─ refresh token rejected, or lease lost before the call: claim again
       └─ store down ── wait a random time, claim again; still down: call on this replica's share
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, TypeAlias

from sidecar.core.errors import NoTokenError, StoreError
from sidecar.core.events import AttemptResult
from sidecar.core.model import Credentials, Profile, Reason, Seconds
from sidecar.core.policy import Condition
from sidecar.core.ports import Clock
from sidecar.core.shared_state import Adopt, Granted, Held, OverBudget
from sidecar.vending.call_blockers import CallBlockers
from sidecar.vending.credential_rotation import CredentialRotation
from sidecar.vending.local_budget import LocalBudget, OutageBudget
from sidecar.vending.partner_call import CallResult, Lease, PartnerCall
from sidecar.vending.replica_state import ReplicaState
from sidecar.vending.store_session import StoreSession

LOOK_WITHOUT_TOKEN_S: Seconds = 0.1
LOOK_AHEAD_S: Seconds = 0.25
"""How often a replica reads the store while another one holds the lease: without a token to vend, and with one."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A partner call brought a token."""

    event_result: ClassVar[AttemptResult] = "fetched"


@dataclass(frozen=True, slots=True)
class Adopted:
    """Another replica's token came from the store."""

    event_result: ClassVar[AttemptResult] = "adopted"


@dataclass(frozen=True, slots=True)
class Blocked:
    """No token came; `error` says why."""

    event_result: ClassVar[AttemptResult] = "failed"
    error: NoTokenError


@dataclass(frozen=True, slots=True)
class ClaimAgain:
    """No result yet: a new claim is due."""


RefreshResult: TypeAlias = Fetched | Adopted | Blocked


@dataclass(slots=True, eq=False)
class RefreshAttempt:
    """One attempt to get another token than the one of fence `known`, which has to be replaced."""

    reason: Reason
    known: int
    _: KW_ONLY
    profile: Profile
    clock: Clock
    session: StoreSession
    replica: ReplicaState
    rotation: CredentialRotation
    budget: LocalBudget
    outage: OutageBudget
    blockers: CallBlockers
    new_call: Callable[[Lease, Credentials], PartnerCall]
    is_calling: bool = field(default=False, init=False)
    """Whether the partner call is running."""
    _waited_for_store: bool = field(default=False, init=False)

    async def run(self) -> RefreshResult:
        result: RefreshResult | ClaimAgain = ClaimAgain()
        while isinstance(result, ClaimAgain):
            if self._is_met():
                return Adopted()
            # The credentials are picked each time: a rejection in between changes which ones may be used.
            now, mirror = self.clock.monotonic(), self.replica.mirror
            credentials = self.rotation.pick(mirror.credential_blocks(now))
            if credentials is None or mirror.pause(now) is not None or self._trial_is_over(credentials):
                return self._blocked()
            result = await self._claim_and_call(credentials)
        return result

    def _is_met(self) -> bool:
        """Whether another exchange with the store has brought a newer token meanwhile."""
        return self.replica.known_fence > self.known and self._is_fresh()

    def _trial_is_over(self, credentials: Credentials) -> bool:
        """Whether this attempt only tries new credentials and they were rejected: it does not use the old ones."""
        return self.reason is Reason.AHEAD and self._is_fresh() and credentials is not self.rotation.newest

    def _is_fresh(self) -> bool:
        return self.replica.condition(self.clock.monotonic()) is Condition.FRESH

    def _blocked(self) -> Blocked:
        return Blocked(self.blockers.reason(caller_requested=self.reason.caller_requested))

    async def _claim_and_call(self, credentials: Credentials) -> RefreshResult | ClaimAgain:
        """Claim a lease and make its call."""
        known, profile = self.replica.known_fence, self.profile
        try:
            claim = await self.session.claim(
                known, credentials.credentials_id, caller_requested=self.reason.caller_requested
            )
        except StoreError:
            return await self._without_store(credentials)
        match claim.outcome:
            case Adopt() if self.replica.known_fence > known:
                return Adopted()
            case OverBudget():
                return self._blocked()
            case Granted(fence, limit_s):
                self.budget.grants.spend(claim.asked_at, caller_requested=self.reason.caller_requested)
                # A call that starts later could outlive the lease.
                send_by = claim.asked_at + limit_s - profile.partner_timeout_s - profile.store_timeout_s
                return await self._call(
                    Lease(nonce=claim.nonce, fence=fence, send_by=send_by, known=known), credentials
                )
            case Held(left_s):
                await self.clock.sleep(min(left_s, self._look_s()))
            case _:
                # CoolingDown: the loop in `run` checks the pause, or picks the other credentials.
                await self.clock.sleep(self._look_s())
        return ClaimAgain()

    def _look_s(self) -> Seconds:
        look_s = LOOK_AHEAD_S if self.replica.is_good(self.clock.monotonic()) else LOOK_WITHOUT_TOKEN_S
        return look_s * (0.5 + self.clock.jitter() / 2)

    async def _without_store(self, credentials: Credentials) -> RefreshResult | ClaimAgain:
        """Handle a store that is down: wait a random time and claim again, then call on this replica's own share."""
        caller_requested = self.reason.caller_requested
        if (wait_s := self.outage.wait_s(caller_requested=caller_requested)) > 0:
            self.outage.block(wait_s)
            return self._blocked()
        if not self._waited_for_store:
            self._waited_for_store = True
            await self.clock.sleep(self.outage.first_delay_s())
            return ClaimAgain()
        now, mirror = self.clock.monotonic(), self.replica.mirror
        if mirror.pause(now) is not None or credentials.credentials_id in mirror.credential_blocks(now):
            # A report's exchange with the store brought the pause or block during the wait.
            return ClaimAgain()
        self.budget.share.spend(now, caller_requested=caller_requested)
        known, fence = self.replica.known_fence, self.replica.begin_local_call()
        send_by = self.clock.monotonic() + self.profile.store_timeout_s
        return await self._call(Lease(nonce="", fence=fence, send_by=send_by, known=known), credentials)

    async def _call(self, lease: Lease, credentials: Credentials) -> RefreshResult | ClaimAgain:
        self.is_calling = True
        try:
            result = await self.new_call(lease, credentials).run()
        finally:
            self.is_calling = False
        match result:
            case CallResult.FETCHED:
                return Fetched()
            case CallResult.FAILED:
                return self._blocked()
            case CallResult.UNSENT | CallResult.REFRESH_REJECTED:
                return ClaimAgain()
