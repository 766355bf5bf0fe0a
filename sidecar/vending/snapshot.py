"""One profile at one moment, put together for people and scrapers."""

from __future__ import annotations

from sidecar.core.failures import FailureKind
from sidecar.core.model import Instant, Lifetime, Seconds
from sidecar.core.policy import Condition
from sidecar.vending.crew import Crew
from sidecar.vending.obstacle import obstacle
from sidecar.vending.recording import OwnFailure
from sidecar.vending.shown_time import ShownTime
from sidecar.vending.vendor import LastFailure, Snapshot


def take_snapshot(crew: Crew, *, waiters: int, resting: bool, has_outcome: bool) -> Snapshot:
    """Everything `Snapshot` names."""
    view, profile, token = crew.view, crew.profile, crew.view.token
    now, shown = crew.clock.monotonic(), view.shown_time
    condition = view.condition(now)
    no = obstacle(crew, on_demand=False)
    pause, refused = view.pause(), view.refused()
    vendable = condition is not Condition.EXPIRED

    def after(left_s: Seconds) -> Instant:
        return shown.at(view.ends.after(left_s)) if left_s > 0 else 0

    retry_at = 0 if no is None else after(no.retry_after_s)
    return Snapshot(
        profile=profile.name,
        profile_id=profile.profile_id,
        role=profile.role,
        partner=profile.partner,
        base_url=profile.base_url,
        ready=vendable or resting,
        condition=condition,
        left_s=view.left_s(now),
        why_not="" if vendable or resting else (no.code if no is not None else "starting"),
        token_id="" if token is None else token.token_id,
        issued_at=0 if token is None else view.issued_at,
        expires_at=0 if token is None else view.issued_at + token.lifetime_s,
        lifetime_s=view.lifetime_s,
        lifetime="" if token is None else token.lifetime,
        learned_s=view.state.lesson.learned_s,
        declared_s=token.lifetime_s if token is not None and token.lifetime is Lifetime.DECLARED else 0,
        next_refresh_at=0
        if token is None or resting
        else max(shown.at(max(now, view.born + view.refresh_at_s)), retry_at),
        last_success_at=0 if view.taken is None else shown.at(view.taken),
        cooldown_until=after(pause.left_s) if pause is not None and pause.kind is FailureKind.THROTTLED else 0,
        pause_kind="" if pause is None else pause.kind,
        pause_until=0 if pause is None else after(pause.left_s),
        budget_calls=profile.budget.calls,
        budget_window_s=profile.budget.window_s,
        budget_remaining=view.permits_left,
        lease_owner=view.state.lease_owner if view.lease_left_s() > 0 else "",
        lease_until=after(view.lease_left_s()),
        waiters=waiters,
        resting=resting,
        credentials_valid=crew.keyring.readable and crew.keyring.newest.credentials_id not in refused,
        store_up=crew.store.up,
        stored_token_unreadable=view.state.has_unreadable_token,
        retry_at=retry_at,
        last_failure=_shown(view.last_failure, shown),
        has_outcome=has_outcome or view.taken is not None,
    )


def _shown(failure: OwnFailure | None, shown: ShownTime) -> LastFailure | None:
    if failure is None:
        return None
    return LastFailure(kind=failure.kind, at=shown.at(failure.ended), detail=failure.detail)
