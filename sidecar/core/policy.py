"""Decisions about time: pure functions of values, times and a jitter in [0, 1)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from sidecar.core.errors import FailureKind
from sidecar.core.model import Budget, Lifetime, Profile, Seconds
from sidecar.core.shared_state import LearnedLifetime

MAX_COOLDOWN_S: Seconds = 900
"""Where our own doubling of a cool-down stops."""
MAX_RETRY_AFTER_S: Seconds = 86_400
"""A wait beyond a day counts as a day: a typing error at the partner must not stop payments for a year."""
BACKOFF_BASE_S: Seconds = 1
BACKOFF_CAP_S: Seconds = 30
BACKOFF_FLOOR_S: Seconds = 0.2
"""Full jitter may say 0; a failed call is never followed at once."""
SLOW_RETRY_BASE_S: Seconds = 120
SLOW_RETRY_CAP_S: Seconds = 3600
"""For failures that only a person can repair: rejected credentials and a configuration that does not fit."""

TICK_S: Seconds = 0.001
"""The store counts in milliseconds: a wait below one is over, or rounding would have callers wait for nothing."""

SPREAD = 0.05
"""Share of a lifetime over which the replicas spread their refresh ahead."""
LEARNED_SHARE = 0.95
"""A learned lifetime ends a little before the age at which tokens were rejected."""
LEARNED_FLOOR = 0.1
"""No report shortens the lifetime below this share of the assumed one."""
REGROWTH = 1.01
"""Growth of a learned lifetime for each unreported token: a longer lifetime at the partner is found again."""
FULL_LIFE_AGES = 0.95
"""A report past this share of the expected lifetime changes nothing: the token was about to expire anyway."""


class Condition(StrEnum):
    """What may be done with a token."""

    FRESH = "fresh"
    """Serve."""
    STALE = "stale"
    """Serve, and refresh."""
    SUSPECT = "suspect"
    """Serve with a mark, and only while no other token can be had."""
    EXPIRED = "expired"
    """Never serve."""


def margin_s(lifetime_s: Seconds, profile: Profile) -> Seconds:
    """Return the part of the lifetime kept in reserve: the setting, for short-lived tokens at most a tenth."""
    return min(profile.margin_s, lifetime_s / 10)


def usable_s(lifetime_s: Seconds, profile: Profile) -> Seconds:
    """The age from which a token is not vended as good any more."""
    return lifetime_s - margin_s(lifetime_s, profile)


def refresh_point_s(lifetime_s: Seconds, profile: Profile, jitter: float) -> Seconds:
    """Return the age at which one replica refreshes ahead.

    The points are spread over a twentieth of the lifetime, at most half of the time left until the usable end. So the
    first of many replicas has refreshed the token before the others reach their points.
    """
    usable = usable_s(lifetime_s, profile)
    first = min(lifetime_s * profile.refresh_at, usable)
    return first + jitter * min(lifetime_s * SPREAD, (usable - first) / 2)


def condition(
    age_s: Seconds, lifetime_s: Seconds, lifetime: Lifetime, *, rejected: bool, refresh_at_s: Seconds, profile: Profile
) -> Condition:
    """Return a token's condition by its age. A boundary belongs to the later one: at its usable end it is past it."""
    usable = usable_s(lifetime_s, profile)
    if lifetime is Lifetime.DECLARED and age_s >= usable:
        return Condition.EXPIRED
    if age_s >= usable:
        still_suspect = profile.max_stale_s > 0 and age_s < lifetime_s + profile.max_stale_s
        return Condition.SUSPECT if still_suspect else Condition.EXPIRED
    if rejected:
        return Condition.SUSPECT
    return Condition.STALE if age_s >= refresh_at_s else Condition.FRESH


def pause_s(
    kind: FailureKind, failures: int, retry_after_s: Seconds | None, profile: Profile, jitter: float
) -> Seconds:
    """Return how long no replica calls after a failure; `failures` are consecutive, this one included.

    A wait that the partner named is used exactly, up to a day. Back-off uses full jitter: the whole of it is random, so
    that fleets which share a partner do not retry together.
    """
    doublings = min(failures - 1, 16)
    if kind is FailureKind.THROTTLED:
        if retry_after_s is not None and retry_after_s > 0:
            return min(retry_after_s, MAX_RETRY_AFTER_S)
        return min(profile.cooldown_s * 2.0**doublings, max(MAX_COOLDOWN_S, profile.cooldown_s))
    if kind in (FailureKind.UNAUTHORIZED, FailureKind.BAD_REQUEST):
        return min(SLOW_RETRY_BASE_S * 2.0**doublings, SLOW_RETRY_CAP_S) * (1 + jitter / 10)
    if retry_after_s is not None and retry_after_s > 0:
        return min(retry_after_s, MAX_RETRY_AFTER_S)
    ceiling = min(BACKOFF_BASE_S * 2.0**doublings, BACKOFF_CAP_S)
    return max(BACKOFF_FLOOR_S, jitter * ceiling)


def permit_wait_s(ages_s: Iterable[Seconds], calls: int, window_s: Seconds) -> Seconds:
    """How long until the sliding window has room; 0: now. `ages_s` are those of permits spent, in any order."""
    running = sorted((age for age in ages_s if age < window_s), reverse=True)
    if len(running) < calls:
        return 0
    return window_s - running[len(running) - calls]


def budget_wait_s(
    ages_s: Iterable[Seconds], caller_ages_s: Iterable[Seconds], budget: Budget, *, caller_requested: bool
) -> Seconds:
    """How long until the budget has room; 0: now. `caller_requested`: also in the share for calls that apps request.

    `ages_s` are those of all permits spent, `caller_ages_s` of those that such calls spent.
    """
    wait_s = permit_wait_s(ages_s, budget.calls, budget.window_s)
    if caller_requested:
        wait_s = max(wait_s, permit_wait_s(caller_ages_s, budget.caller_requested_calls, budget.window_s))
    return wait_s


def learned_floor_s(profile: Profile) -> Seconds:
    """Return the shortest lifetime that reports can set: its refreshes never spend more than half of the budget."""
    affordable = profile.budget.window_s / profile.budget.caller_requested_calls / profile.refresh_at
    return min(profile.lifetime_s, max(profile.lifetime_s * LEARNED_FLOOR, affordable))


def expected_lifetime(
    declared_s: Seconds | None, learned: LearnedLifetime, profile: Profile
) -> tuple[Seconds, Lifetime]:
    """Return a new token's lifetime: the declared one, else the learned one, else the setting."""
    if declared_s is not None:
        return declared_s, Lifetime.DECLARED
    if 0 < learned.learned_s < profile.lifetime_s:
        return max(learned.learned_s, learned_floor_s(profile)), Lifetime.LEARNED
    return profile.lifetime_s, Lifetime.ASSUMED


def learned_after(learned: LearnedLifetime, reported_age_s: Seconds | None, profile: Profile) -> LearnedLifetime:
    """Return the learned lifetime after a token's end, decided when another token has replaced it.

    `reported_age_s` is the age at its first report; None without one, or if the partner confirmed the token. One report
    is only evidence. The second in a row sets the lifetime, by the longer of the two ages, so that a single wrong
    report changes nothing. One below the floor changes nothing at all. Without reports the lifetime grows back.
    """
    in_force = learned.learned_s or profile.lifetime_s
    if reported_age_s is not None and reported_age_s < learned_floor_s(profile):
        # A token this young was revoked, or the report is wrong. Neither says how long tokens live.
        return learned
    if reported_age_s is None or reported_age_s >= in_force * FULL_LIFE_AGES:
        grown = learned.learned_s * REGROWTH
        return LearnedLifetime(learned_s=grown if grown < profile.lifetime_s else 0)
    if learned.first_report_age_s == 0:
        return LearnedLifetime(learned_s=learned.learned_s, first_report_age_s=reported_age_s)
    taught = max(learned.first_report_age_s, reported_age_s) * LEARNED_SHARE
    return LearnedLifetime(
        learned_s=min(in_force, max(taught, learned_floor_s(profile))), first_report_age_s=reported_age_s
    )
