"""Builds the snapshot of one profile, for probes, metrics and the status page."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.core.errors import FailureKind
from sidecar.core.model import Lifetime, Profile, Seconds, UtcTime
from sidecar.core.policy import Condition
from sidecar.core.ports import Clock
from sidecar.vending.api import LastFailure, Snapshot
from sidecar.vending.call_blockers import CallBlockers
from sidecar.vending.credential_rotation import CredentialRotation
from sidecar.vending.refresher import Refresher
from sidecar.vending.replica_state import OwnFailure, ReplicaState
from sidecar.vending.store_clock import ShownTime
from sidecar.vending.store_session import StoreSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """Takes the snapshots of one profile."""

    profile: Profile
    clock: Clock
    replica: ReplicaState
    session: StoreSession
    rotation: CredentialRotation
    blockers: CallBlockers
    refresher: Refresher

    def take(self, waiters: int) -> Snapshot:
        """Return the profile as of now, with so many waiting callers."""
        replica, profile = self.replica, self.profile
        token, mirror, shown, now = replica.token, replica.mirror, replica.shown_time, self.clock.monotonic()
        condition, resting = replica.condition(now), self.refresher.resting
        blocker = self.blockers.find(caller_requested=False)
        pause, lease_left_s = mirror.pause(now), mirror.lease_left_s(now)
        vendable = condition is not Condition.EXPIRED

        def after(left_s: Seconds) -> UtcTime:
            return shown.at(replica.ends.after(left_s)) if left_s > 0 else 0

        retry_at = 0 if blocker is None else after(blocker.retry_after_s)
        return Snapshot(
            profile=profile.name,
            profile_id=profile.profile_id,
            role=profile.role,
            partner=profile.partner,
            base_url=profile.base_url,
            ready=vendable or resting,
            condition=condition,
            left_s=replica.left_s(now),
            why_not="" if vendable or resting else (blocker.code if blocker is not None else "starting"),
            token_id=replica.token_id,
            issued_at=0 if token is None else replica.issued_at,
            expires_at=0 if token is None else replica.issued_at + token.lifetime_s,
            lifetime_s=replica.lifetime_s,
            lifetime="" if token is None else token.lifetime,
            learned_s=mirror.state.learned.learned_s,
            declared_s=token.lifetime_s if token is not None and token.lifetime is Lifetime.DECLARED else 0,
            next_refresh_at=0
            if token is None or resting
            else max(shown.at(max(now, replica.born + replica.refresh_at_s)), retry_at),
            last_success_at=0 if replica.taken is None else shown.at(replica.taken),
            cooldown_until=after(pause.left_s) if pause is not None and pause.kind is FailureKind.THROTTLED else 0,
            pause_kind="" if pause is None else pause.kind,
            pause_until=0 if pause is None else after(pause.left_s),
            budget_calls=profile.budget.calls,
            budget_window_s=profile.budget.window_s,
            budget_remaining=mirror.permits_left(now),
            lease_owner=mirror.state.lease_owner if lease_left_s > 0 else "",
            lease_until=after(lease_left_s),
            waiters=waiters,
            resting=resting,
            credentials_valid=self.rotation.readable
            and self.rotation.newest.credentials_id not in mirror.credential_blocks(now),
            store_up=self.session.up,
            stored_token_unreadable=mirror.state.has_unreadable_token,
            retry_at=retry_at,
            last_failure=_shown(replica.last_failure, shown),
            has_outcome=self.refresher.has_outcome or replica.taken is not None,
        )


def _shown(failure: OwnFailure | None, shown: ShownTime) -> LastFailure | None:
    if failure is None:
        return None
    return LastFailure(kind=failure.kind, at=shown.at(failure.ended), detail=failure.detail)
