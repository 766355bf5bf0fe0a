"""The state of a sidecar as `/readyz` and `/status.json` show it. It has no secrets, because a snapshot has none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from sidecar.core.model import UtcTime
from sidecar.core.policy import Condition
from sidecar.core.process_events import StalledFile
from sidecar.core.timestamps import iso, iso_or_none
from sidecar.vending.api import LastFailure, Snapshot
from sidecar.web.responses import partner_document


def readiness(snapshots: Iterable[Snapshot], *, draining: bool) -> dict[str, object]:
    """Ready when at least one profile is, and the reason is known for every other one.

    A profile is ready while it has a token to vend, a suspect one included, or rests because it gets no requests. A
    profile that cannot get a token does not take the others out of service. A profile without a first outcome makes
    the whole sidecar not ready.
    """
    shown = tuple(snapshots)
    ready = any(_is_ready(one) for one in shown) and all(_is_ready(one) or one.has_outcome for one in shown)
    profiles = {snapshot.profile: _profile_readiness(snapshot) for snapshot in shown}
    return {"ready": ready and not draining, "draining": draining, "profiles": profiles}


def status(
    snapshots: Sequence[Snapshot],
    events: Sequence[Mapping[str, object]],
    *,
    at: UtcTime,
    version: str,
    draining: bool,
    stalled_files: Sequence[StalledFile] = (),
    signatures: Callable[[str], int] = lambda _profile: 0,
    gateway: Callable[[str], Mapping[str, object] | None] = lambda _profile: None,
) -> dict[str, object]:
    """Return the whole state as of `at`; times are ISO 8601 in UTC or None, durations are in seconds.

    `signatures` and `gateway` as in `AdminSources`.
    """
    profiles: dict[str, dict[str, object]] = {}
    for snapshot in snapshots:
        name = snapshot.profile
        profiles[name] = {**_profile_status(snapshot, stalled_files), "signatures": signatures(name)}
        state = gateway(name)
        if state is not None:
            profiles[name]["gateway"] = state
    return {
        "at": iso(at),
        "version": version,
        "ready": readiness(snapshots, draining=draining)["ready"],
        "draining": draining,
        "storeUp": all(snapshot.store_up for snapshot in snapshots),
        "profiles": profiles,
        "events": [{_camel(name): value for name, value in event.items()} for event in events],
    }


def _is_ready(snapshot: Snapshot) -> bool:
    return snapshot.ready or snapshot.resting


def _profile_readiness(snapshot: Snapshot) -> dict[str, object]:
    reason = "resting" if snapshot.resting else snapshot.why_not
    return {
        "ready": _is_ready(snapshot),
        "reason": reason or None,
        "condition": snapshot.condition,
        "storeUp": snapshot.store_up,
        "credentialsValid": snapshot.credentials_valid,
        "pause": snapshot.pause_kind or None,
        "retryAt": iso_or_none(snapshot.retry_at),
    }


def _profile_status(snapshot: Snapshot, stalled_files: Sequence[StalledFile]) -> dict[str, object]:
    return {
        **_profile_readiness(snapshot),
        "suspect": snapshot.condition is Condition.SUSPECT,
        "profileId": snapshot.profile_id,
        "partner": snapshot.partner,
        "baseUrl": snapshot.base_url,
        "role": snapshot.role,
        "tokenId": snapshot.token_id or None,
        "issuedAt": iso_or_none(snapshot.issued_at),
        "expiresAt": iso_or_none(snapshot.expires_at),
        "expiresInSeconds": round(snapshot.left_s, 1) if snapshot.token_id else None,
        "lifetime": snapshot.lifetime or None,
        "lifetimeSeconds": snapshot.lifetime_s,
        "learnedLifetimeSeconds": snapshot.learned_s or None,
        "nextRefreshAt": iso_or_none(snapshot.next_refresh_at),
        "lastSuccessAt": iso_or_none(snapshot.last_success_at),
        "cooldownUntil": iso_or_none(snapshot.cooldown_until),
        "pauseUntil": iso_or_none(snapshot.pause_until),
        "budget": {
            "calls": snapshot.budget_calls,
            "windowSeconds": snapshot.budget_window_s,
            "remaining": snapshot.budget_remaining,
        },
        "storedTokenUnreadable": snapshot.stored_token_unreadable,
        "leaseHolder": snapshot.lease_owner or None,
        "leaseUntil": iso_or_none(snapshot.lease_until),
        "waiters": snapshot.waiters,
        "resting": snapshot.resting,
        "signingKey": snapshot.signs,
        "partnerClockOffsetSeconds": None if snapshot.clock_offset_s is None else round(snapshot.clock_offset_s, 1),
        # The profile's own files, and those that all profiles share.
        "stalledFiles": sorted({file for file, profile in stalled_files if profile in ("", snapshot.profile)}),
        "lastError": _failure(snapshot.last_failure),
    }


def _failure(failure: LastFailure | None) -> dict[str, object] | None:
    if failure is None:
        return None
    partner = None if failure.detail is None else partner_document(failure.detail)
    return {"kind": failure.kind, "at": iso(failure.at), "partner": partner}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
