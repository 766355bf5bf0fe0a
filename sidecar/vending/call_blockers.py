"""Why no partner call may be made right now, as the error that a caller gets."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.core.errors import (
    BudgetExhaustedError,
    CoolingDownError,
    CredentialsRejectedError,
    FailureKind,
    NoTokenError,
    PartnerRefusedError,
    PartnerUnavailableError,
    StartingError,
    StoreUnavailableError,
    WaitTimeoutError,
)
from sidecar.core.policy import TICK_S
from sidecar.core.ports import Clock
from sidecar.core.shared_state import Pause
from sidecar.vending.credential_rotation import CredentialRotation
from sidecar.vending.local_budget import LocalBudget, OutageBudget
from sidecar.vending.replica_state import ReplicaState
from sidecar.vending.store_session import StoreSession


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBlockers:
    """The call blockers of one profile."""

    clock: Clock
    replica: ReplicaState
    session: StoreSession
    rotation: CredentialRotation
    budget: LocalBudget
    outage: OutageBudget

    def find(self, *, caller_requested: bool) -> NoTokenError | None:
        """Return the blocker; None when a call may be tried, or another replica's may be running."""
        mirror, now = self.replica.mirror, self.clock.monotonic()
        if (pause := mirror.pause(now)) is not None:
            return _error_of(pause)
        blocks = mirror.credential_blocks(now)
        if self.rotation.pick(blocks) is None:
            ours = [pause for key, pause in blocks.items() if key in self.rotation.credentials_ids]
            return _rejected(min(ours, key=lambda pause: pause.left_s))
        if (wait_s := self.budget.grants.wait_s(caller_requested=False)) > TICK_S:
            return BudgetExhaustedError("The fleet's budget of partner calls is spent.", retry_after_s=wait_s)
        if (wait_s := self.outage.blocked_s()) > TICK_S:
            return StoreUnavailableError("The store is down and this replica has no token.", retry_after_s=wait_s)
        # While a lease runs its holder may bring a token any moment, whatever is left of the budget.
        if not self.session.up or mirror.lease_left_s(now) > 0:
            return None
        if (wait_s := mirror.permit_wait_s(now, caller_requested=caller_requested)) > TICK_S:
            whole = mirror.permit_wait_s(now, caller_requested=False) > TICK_S
            what = "budget of partner calls" if whole else "share of the budget for reports and min_ttl"
            return BudgetExhaustedError(f"The fleet's {what} is spent.", retry_after_s=wait_s)
        return None

    def reason(self, *, caller_requested: bool) -> NoTokenError:
        """Return the blocker, else why there is no token although a call may be tried."""
        if (blocker := self.find(caller_requested=caller_requested)) is not None:
            return blocker
        if (pause := self.replica.mirror.at(self.clock.monotonic()).pause) is not None:
            # The last partner call failed, and the call that tries again has not ended yet.
            return _error_of(pause)
        if self.replica.token is None:
            return StartingError("There is no token yet.", retry_after_s=1)
        return WaitTimeoutError("No token came in time.", retry_after_s=1)


def _error_of(pause: Pause) -> NoTokenError:
    """Return the error that a caller gets for this pause, which may be over."""
    left_s, detail = max(TICK_S, pause.left_s), pause.detail
    if pause.kind is FailureKind.THROTTLED:
        text = "The partner answered 429. No replica calls it before the cool-down ends."
        return CoolingDownError(text, retry_after_s=left_s, partner=detail)
    if pause.kind is FailureKind.BAD_REQUEST:
        text = "The partner refuses the request: check base URL, preset and role."
        return PartnerRefusedError(text, retry_after_s=left_s, partner=detail)
    return PartnerUnavailableError(
        f"The last partner call failed ({pause.kind}).", retry_after_s=left_s, partner=detail
    )


def _rejected(pause: Pause) -> NoTokenError:
    text = "The partner rejects the credentials: check API key, API secret and their permissions."
    return CredentialsRejectedError(text, retry_after_s=pause.left_s, partner=pause.detail)
