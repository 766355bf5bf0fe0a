"""The record of one call: its event once, its audit line after the guards, and what a warning is made of."""

from __future__ import annotations

import pytest

from sidecar.core.process_events import GatewayCalled, OutcomeUnknown, SignedRequestRefused
from sidecar.core.trace_context import TraceContext
from sidecar.gateway.call import GatewayCall
from tests.support.fake_provider import NOW, FixedClock, vended
from tests.support.sink import ListSink


class RecordedCall:
    def __init__(self, path: str = "/api/pay1st/payments") -> None:
        self.clock, self.sink, self.audit = FixedClock(), ListSink(), ListSink()
        self.has_left = False
        self.call = GatewayCall(
            profile="default",
            method="POST",
            caller="uid:1000",
            trace=TraceContext("a" * 32, "b" * 16, sampled=True),
            clock=self.clock,
            sink=self.sink,
            audit=self.audit,
            has_left=lambda: self.has_left,
        )
        self.call.path = path


def test_a_call_is_recorded_with_all_that_is_known_of_it() -> None:
    one = RecordedCall()
    one.call.begin(vended(suspect=True))
    one.call.connected()
    one.call.is_signed = True
    one.clock.passed_s = 12
    one.call.end("2xx", status=201)
    (event,) = one.sink.events
    assert one.audit.events == [event]
    assert event == GatewayCalled(
        profile="default",
        method="POST",
        path="/api/pay1st/payments",
        caller="uid:1000",
        code="2xx",
        status=201,
        attempts=1,
        complete=True,
        token_id=vended().token.token_id,
        suspect=True,
        signed=True,
        token_age_s=12,
        duration_s=12,
        trace=TraceContext("a" * 32, "b" * 16, sampled=True),
    )


def test_only_the_first_end_counts() -> None:
    one = RecordedCall()
    one.call.end("partner-outcome-unknown", cause="ClientError")
    one.call.end("2xx", status=200)
    one.call.end("partner-outcome-unknown", cause="again")
    assert [event.code for event in one.sink.of(GatewayCalled)] == ["partner-outcome-unknown"]
    assert len(one.sink.events) == 2
    assert len(one.audit.events) == 1


def test_the_audit_has_nothing_of_a_call_that_the_guards_refused() -> None:
    one = RecordedCall(path="")
    one.call.end("header-required")
    assert [event.code for event in one.sink.of(GatewayCalled)] == ["header-required"]
    assert one.audit.events == []


@pytest.mark.parametrize(
    ("complete", "has_left", "told"), [(True, True, False), (False, False, False), (True, False, True)]
)
def test_a_response_is_complete_where_it_was_and_its_app_was_there(complete: bool, has_left: bool, told: bool) -> None:
    one = RecordedCall()
    one.has_left = has_left
    one.call.end("2xx", status=200, complete=complete)
    assert [event.complete for event in one.sink.of(GatewayCalled)] == [told]


def test_a_long_path_is_cut() -> None:
    one = RecordedCall("/" + "x" * 1000)
    one.call.end("gateway-not-allowed")
    assert [len(event.path) for event in one.audit.of(GatewayCalled)] == [200]


def test_an_unknown_outcome_is_an_event_of_its_own_with_its_cause() -> None:
    one = RecordedCall()
    one.call.end("partner-outcome-unknown", complete=False, cause="TimeoutError")
    assert one.sink.of(OutcomeUnknown) == [
        OutcomeUnknown(
            profile="default",
            method="POST",
            path="/api/pay1st/payments",
            cause="TimeoutError",
            trace=TraceContext("a" * 32, "b" * 16, sampled=True),
        )
    ]
    assert one.audit.of(OutcomeUnknown) == []


@pytest.mark.parametrize("code", ["2xx", "partner-unreachable", "disconnected"])
def test_any_other_outcome_is_none(code: str) -> None:
    one = RecordedCall()
    one.call.end(code)
    assert one.sink.of(OutcomeUnknown) == []


@pytest.mark.parametrize(
    ("status", "signed", "events"), [(400, True, 1), (400, False, 0), (401, True, 0), (200, True, 0)]
)
def test_a_400_of_a_signed_request_is_an_event_with_the_age_of_the_token(
    status: int, signed: bool, events: int
) -> None:
    one = RecordedCall()
    one.call.begin(vended())
    one.call.is_signed = signed
    one.clock.passed_s = 301
    one.call.end(f"{status // 100}xx", status=status)
    assert one.sink.of(SignedRequestRefused) == [SignedRequestRefused(profile="default", token_age_s=301)] * events


def test_a_clock_that_was_set_back_makes_no_negative_age() -> None:
    one = RecordedCall()
    one.call.begin(vended())
    one.clock.wall_step_s = -3600
    assert one.clock.wall() < NOW
    one.call.end("2xx", status=200)
    assert [event.token_age_s for event in one.sink.of(GatewayCalled)] == [0]


def test_attempts_are_requests_that_had_a_connection() -> None:
    one = RecordedCall()
    assert (one.call.attempts, one.call.is_sent) == (0, False)
    one.call.begin(vended())
    assert (one.call.attempts, one.call.is_sent) == (0, False)
    one.call.connected()
    assert (one.call.attempts, one.call.is_sent) == (1, True)
    one.call.begin(vended("two"))
    assert (one.call.attempts, one.call.is_sent) == (1, False)
    one.call.connected()
    assert (one.call.attempts, one.call.is_sent) == (2, True)


def test_the_marks_of_a_response() -> None:
    one = RecordedCall()
    assert one.call.marks("sidecar") == {"Sidecar-Answer": "sidecar", "Sidecar-Attempts": "0"}
    one.call.begin(vended(suspect=True))
    one.call.connected()
    assert one.call.marks("partner", replaced=True) == {
        "Sidecar-Answer": "partner",
        "Sidecar-Attempts": "1",
        "Token-Id": vended().token.token_id,
        "Token-Suspect": "true",
        "Sidecar-Token": "replaced",
    }
    one.call.begin(vended("two"))
    assert one.call.marks("partner").keys() == {"Sidecar-Answer", "Sidecar-Attempts", "Token-Id"}
