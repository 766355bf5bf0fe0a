"""The latest events for the status page, and one sink for several."""

from __future__ import annotations

import pytest

from sidecar.app.observers import Fanout
from sidecar.core.events import (
    AttemptEnded,
    LifetimeLearned,
    StoreFailed,
    StoreRecovered,
    TokenChanged,
    TokenReported,
)
from sidecar.core.model import Lifetime, Reason
from sidecar.core.process_events import RequestServed
from sidecar.core.timestamps import iso
from sidecar.telemetry.recent_events import RecentEvents
from tests.support.fake_provider import NOW, FixedClock
from tests.support.sink import ListSink

DAY_S = 86_400
DOWN = StoreFailed(profile="default", operation="peek", cause="TimeoutError")


def test_events_are_kept_with_their_time_newest_last() -> None:
    clock = FixedClock()
    recent = RecentEvents(clock)
    recent.emit(DOWN)
    clock.passed_s = 61
    recent.emit(StoreRecovered())
    assert recent() == [
        {
            "at": "2026-01-01T00:00:00Z",
            "event": "store_failed",
            "level": "warning",
            "count": 1,
            "profile": "default",
            "operation": "peek",
            "cause": "TimeoutError",
        },
        {"at": "2026-01-01T00:01:01Z", "event": "store_recovered", "level": "info", "count": 1},
    ]


@pytest.mark.parametrize("step_s", [-DAY_S, DAY_S])
def test_the_instants_of_an_event_are_shown_by_the_present_clock(step_s: float) -> None:
    """Its own time and the instants in its fields. Later events keep their order."""
    clock = FixedClock()
    recent = RecentEvents(clock)
    recent.emit(
        TokenChanged(
            token_id="t-1", fetched=True, fence=2, issued_at=NOW - 1, expires_at=NOW + 899, lifetime=Lifetime.ASSUMED
        )
    )
    clock.passed_s, clock.wall_step_s = 60, step_s
    recent.emit(StoreRecovered())
    changed, recovered = recent()
    assert (changed["at"], recovered["at"]) == (iso(NOW + step_s), iso(NOW + step_s + 60))
    assert (changed["issued_at"], changed["expires_at"]) == (iso(NOW + step_s - 1), iso(NOW + step_s + 899))


def test_requests_and_refresh_attempts_are_not_kept() -> None:
    recent = RecentEvents(FixedClock())
    recent.emit(RequestServed(endpoint="token", code="ok", duration_s=0.1))
    recent.emit(AttemptEnded(reason=Reason.MISS, result="fetched"))
    assert recent() == []


def test_only_the_latest_are_kept() -> None:
    recent = RecentEvents(FixedClock(), limit=2)
    for learned_s in (1, 2, 3):
        recent.emit(LifetimeLearned(learned_s=learned_s))
    assert [event["learned_s"] for event in recent()] == [2, 3]


def test_a_repeated_failure_is_one_entry_with_a_count() -> None:
    clock = FixedClock()
    recent = RecentEvents(clock, limit=2)
    recent.emit(StoreRecovered())
    for second in range(50):
        clock.passed_s = second
        recent.emit(DOWN)
    first, second_event = recent()
    assert first["event"] == "store_recovered"
    assert (second_event["count"], second_event["at"]) == (50, "2026-01-01T00:00:49Z")


def test_reports_of_many_tokens_are_one_entry_for_each_verdict() -> None:
    recent = RecentEvents(FixedClock())
    recent.emit(StoreRecovered())
    for number in range(200):
        recent.emit(TokenReported(profile="default", token_id=str(number), verdict="already-replaced"))
    recent.emit(TokenReported(profile="default", token_id="1", verdict="refreshing"))
    assert [(event["event"], event["count"]) for event in recent()] == [
        ("store_recovered", 1),
        ("token_reported", 200),
        ("token_reported", 1),
    ]


def test_every_sink_receives_every_event() -> None:
    sinks = [ListSink(), ListSink()]
    Fanout(sinks).emit(DOWN)
    assert [sink.events for sink in sinks] == [[DOWN], [DOWN]]
