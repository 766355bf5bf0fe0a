"""The decisions about time, as boundary tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core import policy
from sidecar.core.errors import FailureKind
from sidecar.core.model import Budget, Lifetime, Profile
from sidecar.core.policy import Condition
from sidecar.core.shared_state import LearnedLifetime

PROFILE = Profile(base_url="https://partner.example", lifetime_s=900, margin_s=15, max_stale_s=3600)
SHORT = Profile(base_url="https://partner.example", lifetime_s=60, margin_s=15)


@pytest.mark.parametrize(
    ("age_s", "lifetime", "rejected", "expected"),
    [
        (0, Lifetime.ASSUMED, False, Condition.FRESH),
        (719.9, Lifetime.ASSUMED, False, Condition.FRESH),
        (720, Lifetime.ASSUMED, False, Condition.STALE),
        (884.9, Lifetime.ASSUMED, False, Condition.STALE),
        (885, Lifetime.ASSUMED, False, Condition.SUSPECT),
        (4499.9, Lifetime.ASSUMED, False, Condition.SUSPECT),
        (4500, Lifetime.ASSUMED, False, Condition.EXPIRED),
        (885, Lifetime.LEARNED, False, Condition.SUSPECT),
        (884.9, Lifetime.DECLARED, False, Condition.STALE),
        (885, Lifetime.DECLARED, False, Condition.EXPIRED),
        (0, Lifetime.ASSUMED, True, Condition.SUSPECT),
        (800, Lifetime.DECLARED, True, Condition.SUSPECT),
        (885, Lifetime.DECLARED, True, Condition.EXPIRED),
    ],
)
def test_a_token_is_judged_by_its_age(age_s: float, lifetime: Lifetime, rejected: bool, expected: Condition) -> None:
    found = policy.condition(age_s, 900, lifetime, rejected=rejected, refresh_at_s=720, profile=PROFILE)
    assert found is expected


def test_without_a_stale_time_an_over_age_token_is_expired_at_once() -> None:
    strict = Profile(base_url="https://partner.example", max_stale_s=0)
    found = policy.condition(885, 900, Lifetime.ASSUMED, rejected=False, refresh_at_s=720, profile=strict)
    assert found is Condition.EXPIRED


def test_the_margin_of_a_short_lived_token_is_a_tenth_of_its_life() -> None:
    assert policy.margin_s(60, SHORT) == 6
    assert policy.margin_s(900, SHORT) == 15


@given(st.floats(1, 100_000), st.floats(0, 0.999), st.floats(0.1, 0.95))
def test_the_refresh_point_lies_inside_the_usable_life(lifetime_s: float, jitter: float, refresh_at: float) -> None:
    profile = Profile(base_url="https://partner.example", lifetime_s=lifetime_s, refresh_at=refresh_at)
    point_s = policy.refresh_point_s(lifetime_s, profile, jitter)
    assert 0 < point_s <= policy.usable_s(lifetime_s, profile)


@pytest.mark.parametrize(
    ("kind", "failures", "retry_after_s", "jitter", "expected_s"),
    [
        (FailureKind.THROTTLED, 1, 7, 0.5, 7),
        (FailureKind.THROTTLED, 9, 7, 0.5, 7),
        (FailureKind.THROTTLED, 1, None, 0.5, 30),
        (FailureKind.THROTTLED, 2, None, 0.5, 60),
        (FailureKind.THROTTLED, 5, None, 0.5, 480),
        (FailureKind.THROTTLED, 6, None, 0.5, 900),
        (FailureKind.THROTTLED, 10_000, None, 0.5, 900),
        (FailureKind.THROTTLED, 1, 86_400, 0.5, 86_400),
        (FailureKind.THROTTLED, 1, 86_401, 0.5, 86_400),
        (FailureKind.SERVER_ERROR, 1, 86_401, 0.5, 86_400),
        (FailureKind.THROTTLED, 1, 0, 0.5, 30),
        (FailureKind.THROTTLED, 1, -5, 0.5, 30),
        (FailureKind.THROTTLED, 1, float("inf"), 0.5, 86_400),
        (FailureKind.THROTTLED, 1, float("nan"), 0.5, 30),
        (FailureKind.UNAUTHORIZED, 1, None, 0.0, 120),
        (FailureKind.BAD_REQUEST, 2, None, 0.0, 240),
        (FailureKind.UNAUTHORIZED, 99, None, 0.0, 3600),
        (FailureKind.SERVER_ERROR, 1, None, 0.5, 0.5),
        (FailureKind.SERVER_ERROR, 1, 4, 0.5, 4),
        (FailureKind.TIMEOUT, 4, None, 0.5, 4),
        (FailureKind.CONNECT, 99, None, 0.999, 29.97),
        (FailureKind.MALFORMED, 1, None, 0.0, 0.2),
    ],
)
def test_the_pause_after_a_failure(
    kind: FailureKind, failures: int, retry_after_s: float | None, jitter: float, expected_s: float
) -> None:
    assert policy.pause_s(kind, failures, retry_after_s, PROFILE, jitter) == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("ages_s", "expected_s"),
    [((), 0), ((59,), 0), ((59, 30), 0), ((59, 30, 10), 1), ((60, 30, 10), 0), ((50, 40, 30, 20), 20)],
)
def test_the_sliding_window_returns_when_it_has_room(ages_s: tuple[float, ...], expected_s: float) -> None:
    assert policy.permit_wait_s(ages_s, 3, 60) == expected_s


@given(st.lists(st.floats(0, 200), max_size=40), st.integers(1, 10))
def test_waiting_for_the_window_never_exceeds_the_budget(gaps_s: list[float], calls: int) -> None:
    """Grants made exactly when the window allows them: any window holds at most `calls`."""
    now, grants = 0.0, list[float]()
    for gap_s in gaps_s:
        now += gap_s
        now += policy.permit_wait_s([now - at for at in grants], calls, 60)
        grants.append(now)
    for at in grants:
        assert sum(1 for other in grants if at <= other < at + 60 - 1e-6) <= calls


@pytest.mark.parametrize(
    ("budget", "fleet", "share"),
    [
        (Budget(6, 60), 10, Budget(1, 100)),
        (Budget(20, 60), 10, Budget(2, 60)),
        (Budget(6, 60), 1, Budget(6, 60)),
        (Budget(1, 1), 4, Budget(1, 4)),
    ],
)
def test_the_shares_of_a_fleet_add_up_to_the_budget(budget: Budget, fleet: int, share: Budget) -> None:
    assert budget.share_of(fleet) == share


def test_a_budget_of_one_still_allows_the_call_for_a_report() -> None:
    assert Budget(1, 60).caller_requested_calls == 1
    assert Budget(6, 60).caller_requested_calls == 3


def test_one_wrong_report_changes_no_lifetime() -> None:
    once = policy.learned_after(LearnedLifetime(), 3, PROFILE)
    assert once.learned_s == 0
    assert policy.expected_lifetime(None, once, PROFILE) == (900, Lifetime.ASSUMED)
    assert policy.learned_after(once, None, PROFILE) == LearnedLifetime()


def test_two_reports_in_a_row_shorten_the_lifetime_to_the_higher_of_both_ages() -> None:
    twice = policy.learned_after(policy.learned_after(LearnedLifetime(), 300, PROFILE), 310, PROFILE)
    assert twice.learned_s == pytest.approx(310 * 0.95)
    assert policy.expected_lifetime(None, twice, PROFILE) == (twice.learned_s, Lifetime.LEARNED)


def test_reports_without_end_never_go_below_the_floor() -> None:
    learned = LearnedLifetime()
    for _ in range(50):
        learned = policy.learned_after(learned, policy.learned_floor_s(PROFILE), PROFILE)
    assert policy.learned_floor_s(PROFILE) == 90
    assert 90 <= learned.learned_s < 100


def test_reports_below_the_floor_change_no_lifetime() -> None:
    """Two wrong reports of young tokens must not shorten the lifetime for all replicas."""
    assert (
        policy.learned_after(policy.learned_after(LearnedLifetime(), 0.3, PROFILE), 0.3, PROFILE) == LearnedLifetime()
    )
    taught = LearnedLifetime(learned_s=400, first_report_age_s=380)
    assert policy.learned_after(taught, 89, PROFILE) == taught


def test_the_floor_keeps_the_refreshes_within_half_of_the_budget() -> None:
    poor = Profile(base_url="https://partner.example", budget=Budget(2, 600))
    assert policy.learned_floor_s(poor) == pytest.approx(750)


def test_a_learned_lifetime_grows_back_slowly_and_ends_at_the_assumed_one() -> None:
    learned, cycles = LearnedLifetime(learned_s=300), 0
    while learned.learned_s:
        grown = policy.learned_after(learned, None, PROFILE)
        assert grown.learned_s == 0 or grown.learned_s == pytest.approx(learned.learned_s * 1.01)
        learned, cycles = grown, cycles + 1
    assert 105 < cycles < 115


def test_a_report_at_the_end_of_the_lifetime_changes_nothing() -> None:
    assert policy.learned_after(LearnedLifetime(first_report_age_s=880), 880, PROFILE) == LearnedLifetime()


def test_a_declared_lifetime_has_priority_over_the_learned_one() -> None:
    assert policy.expected_lifetime(120, LearnedLifetime(learned_s=300), PROFILE) == (120, Lifetime.DECLARED)
