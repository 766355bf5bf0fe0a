"""A monotonic time is shown as one instant of the machine's clock, until that clock is set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.vending.store_clock import SAME_S, Ends, ShownTime
from tests.support.fake_provider import NOW, FixedClock

DAY_S = 86_400
A_LITTLE_S = SAME_S * 0.99


@given(st.lists(st.tuples(st.floats(0, 3600), st.floats(-A_LITTLE_S, A_LITTLE_S)), max_size=20), st.floats(-900, 900))
def test_clock_jitter_of_less_than_a_second_changes_no_instant(looks: list[tuple[float, float]], moment: float) -> None:
    clock = FixedClock()
    shown = ShownTime(clock)
    first = shown.at(moment)
    for passed_s, off_s in looks:
        clock.passed_s, clock.wall_step_s = clock.passed_s + passed_s, off_s
        assert shown.at(moment) == first


@given(st.lists(st.floats(-3 * DAY_S, 3 * DAY_S), min_size=1, max_size=20))
def test_shown_instants_agree_with_the_clock_after_any_step(steps: list[float]) -> None:
    clock = FixedClock()
    shown = ShownTime(clock)
    for step_s in steps:
        clock.wall_step_s = step_s
        assert shown.at(clock.monotonic()) == pytest.approx(clock.wall(), abs=SAME_S + 1e-3)


@given(st.floats(0.001, 0.2))
def test_a_slewed_clock_is_followed_in_steps(slewed_s: float) -> None:
    clock = FixedClock()
    shown = ShownTime(clock)
    seen = {shown.at(0)}
    for _ in range(100):
        clock.wall_step_s += slewed_s
        seen.add(shown.at(0))
        assert max(seen) == pytest.approx(NOW + clock.wall_step_s, abs=SAME_S + 1e-3)
    assert len(seen) <= 1 + 100 * slewed_s / SAME_S


class StoppedOnce(FixedClock):
    """A clock whose process is stopped once, for an hour, between the readings of its two clocks."""

    stopped_s = 0.0

    def wall(self) -> float:
        self.passed_s, self.stopped_s = self.passed_s + self.stopped_s, 0.0
        return super().wall()


def test_a_stop_between_two_readings_does_not_count_as_a_clock_step() -> None:
    clock = StoppedOnce()
    clock.stopped_s = 3600
    shown = ShownTime(clock)
    assert shown.at(0) == NOW
    clock.stopped_s = 3600
    assert shown.at(0) == NOW


@given(st.lists(st.floats(-SAME_S / 2, SAME_S / 2), min_size=1, max_size=50))
def test_an_end_with_a_small_measuring_difference_is_shown_as_the_same(errors_s: list[float]) -> None:
    clock = FixedClock()
    ends = Ends(clock)
    found = set()
    for error_s in errors_s:
        clock.passed_s += 1
        found.add(ends.after(300 - clock.passed_s + error_s))
    assert len(found) == 1


def test_another_end_is_shown_as_another_and_the_first_as_before() -> None:
    clock = FixedClock()
    ends = Ends(clock)
    assert [ends.after(left_s) for left_s in (10, 30.5, 10.2, 31.2, 12)] == [10, 30.5, 10, 30.5, 12]
