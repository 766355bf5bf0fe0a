"""Events, durations and instants on the status page, in words."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest

from sidecar.core import events
from sidecar.core.errors import FailureKind
from sidecar.telemetry.log import event_fields
from sidecar.web.admin.status_document import status
from sidecar.web.admin.status_page.markup import FAILURES, span, time_of, until
from sidecar.web.admin.status_page.page import SENTENCES, page
from tests.support.fake_provider import NOW, snapshot
from tests.support.status_samples import sample_events, shown, words

AT = "2026-01-01T00:03:00Z"


def test_events_are_shown_newest_first_in_words_with_their_details() -> None:
    text = words(shown(snapshot(), events=list(sample_events())))
    shown_events = text.split("Latest events", 1)[1]
    assert shown_events.index("Credentials cannot be read: api-key is empty") < shown_events.index(
        "Sidecar 1.0 started"
    )
    assert "warning: Store unavailable (peek: TimeoutError) 3 times suspect store_failed" in shown_events
    assert "Partner call: rate limited (429)" in shown_events
    assert "operation grant duration 120 ms partner status 429 error code GW-7 error message slow down" in shown_events


# `__subclasses__` also returns each class from before its slots were added.
KEPT = {
    kind.name: kind for kind in events.Event.__subclasses__() if kind.level != "debug" and "__slots__" in vars(kind)
}
KEPT.pop("audit")
"""The events that `RecentEvents` receives and keeps."""


@pytest.mark.parametrize("kind", list(KEPT.values()), ids=list(KEPT))
def test_every_event_has_a_sentence_made_of_its_own_fields(kind: type[events.Event]) -> None:
    own = {re.sub(r"_(\w)", lambda found: found[1].upper(), field.name) for field in fields(kind)}
    assert set(re.findall(r"{(\w+)}", SENTENCES[kind.name])) <= own


def test_an_event_without_a_sentence_is_shown_by_its_name() -> None:
    text = page({**status([snapshot()], [], at=NOW, version="1", draining=False), "events": [
        {"at": AT, "event": "moon_rose", "level": "info", "count": 1, "height": 3}
    ]})  # fmt: skip
    assert "moon rose moon_rose height 3" in words(text)


def test_every_outcome_of_a_call_has_a_text() -> None:
    assert set(FAILURES) == {"ok", *FailureKind}
    assert event_fields(events.PauseStarted(kind=FailureKind.TIMEOUT, pause_s=1, strikes=1))["kind"] in FAILURES


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.0023, "2.3 ms"), (59.9, "59 s"), (60, "1 min"), (692, "11 min 32 s"), (7500, "2 h 5 min"),
     (86_400, "1 d"), (273_600, "3 d 4 h")],
)  # fmt: skip
def test_durations_are_shown_in_words(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_time_of_another_day_has_its_date() -> None:
    assert ">00:02:00</time>" in time_of("2026-01-01T00:02:00Z", AT)
    assert ">2025-12-31 23:59:00</time>" in time_of("2025-12-31T23:59:00Z", AT)
    assert until(AT, AT) == "now"


@pytest.mark.parametrize(
    ("offset_s", "told"),
    [
        (None, "not measured yet"),
        (0.4, "equal to ours"),
        (90.2, "1 min 30 s ahead of ours"),
        (-600, "10 min behind ours"),
    ],
)
def test_the_partners_clock_is_shown_beside_ours(offset_s: float | None, told: str) -> None:
    text = words(shown(replace(snapshot(), clock_offset_s=offset_s, signs=True)))
    assert f"Partner clock {told}" in text
    assert "Signing key present" in text


@pytest.mark.parametrize(("present", "told"), [(True, "Signing key changed"), (False, "Signing key removed")])
def test_a_changed_signing_key_is_told(present: bool, told: str) -> None:
    assert told in words(shown(snapshot(), events=[events.SigningKeyChanged(present=present)]))
