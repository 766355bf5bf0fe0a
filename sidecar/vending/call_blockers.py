"""Why no partner call may be made right now, as the error that a caller gets."""

from __future__ import annotations

from sidecar.core.errors import (
    BudgetExhaustedError,
    CoolingDownError,
    CredentialsRejectedError,
    FailureKind,
    NoTokenError,
    PartnerRefusedError,
    PartnerUnavailableError,
    StoreUnavailableError,
)
from sidecar.core.policy import TICK_S
from sidecar.core.shared_state import Pause
from sidecar.vending.store_session import StoreSession


def call_blocker(session: StoreSession, *, caller_requested: bool) -> NoTokenError | None:
    """Return the blocker, ready to raise; None when a call may be tried, or another replica's may be running."""
    replica = session.replica
    if (pause := replica.pause()) is not None:
        return error_of(pause)
    refused = replica.credential_blocks()
    if session.rotation.pick(refused) is None:
        ours = [pause for key, pause in refused.items() if key in session.rotation.credentials_ids]
        return _rejected(min(ours, key=lambda pause: pause.left_s))
    if (wait_s := session.ledger.wait_s()) > TICK_S:
        return BudgetExhaustedError("The fleet's budget of partner calls is spent.", retry_after_s=wait_s)
    if (wait_s := session.fallback.blocked_s()) > TICK_S:
        return StoreUnavailableError("The store is down and this replica has no token.", retry_after_s=wait_s)
    # While a lease runs its holder may bring a token any moment, whatever is left of the budget.
    if not session.store.up or replica.lease_left_s() > 0:
        return None
    if (wait_s := replica.permit_wait_s(caller_requested=caller_requested)) > TICK_S:
        whole = replica.permit_wait_s(caller_requested=False) > TICK_S
        what = "budget of partner calls" if whole else "share of the budget for reports and min_ttl"
        return BudgetExhaustedError(f"The fleet's {what} is spent.", retry_after_s=wait_s)
    return None


def error_of(pause: Pause) -> NoTokenError:
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
