"""The offset of the partner's clock, from the `Date` of its responses, and what it changes."""

from __future__ import annotations

import pytest

from sidecar.core.events import PartnerClockDiffers
from sidecar.vending.partner_clock import KEPT, PartnerClock
from tests.support.fake_provider import NOW, FixedClock
from tests.support.sink import ListSink


class Scene:
    """A partner's clock that is measured while this machine's clock stands at `NOW`."""

    def __init__(self, *, corrects: bool = True) -> None:
        self.clock, self.sink = FixedClock(), ListSink()
        self.partner = PartnerClock("default", self.clock, self.sink, corrects=corrects)

    def measure(self, ahead_s: float) -> None:
        """One call in no time, to a partner whose clock has just begun a second that is so far ahead."""
        now = self.clock.monotonic()
        self.partner.measure(self.clock.wall() + ahead_s - 0.5, now, now)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_there_is_no_offset_before_the_first_measurement(scene: Scene) -> None:
    assert scene.partner.offset_s is None
    assert scene.partner.time_for_partner(NOW) == NOW


@pytest.mark.parametrize(("date", "offset_s"), [(NOW, 0.5), (NOW + 600, 600.5), (NOW - 600, -599.5)])
def test_the_middle_of_the_partners_second_is_compared_with_the_middle_of_the_call(
    scene: Scene, date: float, offset_s: float
) -> None:
    scene.partner.measure(date, sent_at=-1, received_at=1)
    assert scene.partner.offset_s == offset_s
    assert scene.partner.time_for_partner(NOW) == NOW + offset_s


def test_one_odd_response_changes_little(scene: Scene) -> None:
    for ahead_s in (1, 2, 90_000, 3, 4):
        scene.measure(ahead_s)
    assert scene.partner.offset_s == 3


def test_a_partners_clock_that_was_set_is_followed_after_a_few_responses(scene: Scene) -> None:
    for _ in range(KEPT):
        scene.measure(0)
    for _ in range(KEPT // 2 + 1):
        scene.measure(600)
    assert scene.partner.offset_s == 600


def test_a_step_of_this_machines_clock_needs_no_new_measurement(scene: Scene) -> None:
    scene.measure(0)
    scene.clock.passed_s += 100
    scene.clock.wall_step_s = 600
    assert scene.partner.offset_s == -600
    assert scene.partner.time_for_partner(scene.clock.wall()) == NOW + 100


def test_timestamps_are_not_corrected_where_the_settings_say_so() -> None:
    scene = Scene(corrects=False)
    scene.measure(600)
    assert (scene.partner.offset_s, scene.partner.time_for_partner(NOW)) == (600, NOW)


@pytest.mark.parametrize("ahead_s", [121, -121])
def test_a_large_offset_that_is_not_corrected_is_an_event_once(ahead_s: float) -> None:
    scene = Scene(corrects=False)
    for _ in range(3):
        scene.measure(ahead_s)
    assert scene.sink.of(PartnerClockDiffers) == [PartnerClockDiffers(profile="default", offset_s=ahead_s)]


def test_it_is_an_event_again_after_the_clocks_have_agreed() -> None:
    scene = Scene(corrects=False)
    for ahead_s in (600, 0, 0, 0, 600, 600, 600):
        scene.measure(ahead_s)
    assert len(scene.sink.of(PartnerClockDiffers)) == 2


@pytest.mark.parametrize(("ahead_s", "corrects"), [(119, False), (-119, False), (600, True)])
def test_an_offset_that_does_no_harm_is_no_event(ahead_s: float, corrects: bool) -> None:
    scene = Scene(corrects=corrects)
    scene.measure(ahead_s)
    assert not scene.sink.events


def test_the_median_of_two_is_between_them(scene: Scene) -> None:
    scene.measure(10)
    scene.measure(20)
    assert scene.partner.offset_s == 15
