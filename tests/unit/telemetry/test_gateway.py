"""Metrics and audit lines of the gateway."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.core.events import Event, ServiceStopped
from sidecar.core.process_events import GatewayCalled, OutcomeUnknown
from sidecar.core.trace_context import TraceContext
from sidecar.telemetry.gateway import GatewayAudit, GatewayMetrics
from sidecar.telemetry.redaction import Redactor
from tests.support.fake_provider import FixedClock

CALLED = GatewayCalled(
    profile="main",
    method="POST",
    path="/api/pay1st/payments/create",
    caller="uid:1000",
    code="2xx",
    status=201,
    attempts=1,
    complete=True,
    token_id="0123456789abcdef",
    suspect=False,
    signed=True,
    token_age_s=12.5,
    duration_s=0.25,
)


def samples(*events: Event) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return the values after these events, without buckets, by name and labels, whose order is that of their names."""
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry, ["main", "other"])
    for event in events:
        metrics.emit(event)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name.removeprefix("token_sidecar_gateway_"), tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket"))
    }


def lines(*events: Event) -> list[dict[str, object]]:
    stream = io.StringIO()
    audit = GatewayAudit("json", stream.write, Redactor(), FixedClock())
    for event in events:
        audit.emit(event)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_the_series_that_alerts_read_exist_from_the_start() -> None:
    found = samples()
    assert set(found.values()) == {0}
    for profile in ("main", "other"):
        for method in ("GET", "POST"):
            for code in ("2xx", "4xx", "5xx", "partner-unreachable", "partner-outcome-unknown"):
                assert ("requests_total", (code, method, profile)) in found
        for age in ("up-to-300s", "over-300s"):
            assert ("signed_bad_requests_total", (profile, age)) in found
        assert ("request_duration_seconds_count", (profile,)) in found


def test_a_call_is_counted_once_with_its_duration() -> None:
    found = {key: value for key, value in samples(CALLED).items() if value}
    assert found == {
        ("requests_total", ("2xx", "POST", "main")): 1,
        ("request_duration_seconds_count", ("main",)): 1,
        ("request_duration_seconds_sum", ("main",)): 0.25,
    }


def test_a_method_that_the_partner_may_not_know_is_one_label() -> None:
    found = samples(replace(CALLED, method="X" * 20), replace(CALLED, method="Y"))
    assert found["requests_total", ("2xx", "other", "main")] == 2
    assert samples(replace(CALLED, method="PATCH"))["requests_total", ("2xx", "PATCH", "main")] == 1


@pytest.mark.parametrize(
    ("status", "signed", "age_s", "counted"),
    [
        (400, True, 300, (1, 0)),
        (400, True, 300.001, (0, 1)),
        (400, True, 0, (1, 0)),
        (400, False, 301, (0, 0)),
        (401, True, 301, (0, 0)),
    ],
)
def test_a_400_of_a_signed_request_is_counted_by_the_age_of_its_token(
    status: int, signed: bool, age_s: float, counted: tuple[int, int]
) -> None:
    found = samples(replace(CALLED, status=status, signed=signed, token_age_s=age_s))
    ages = ("up-to-300s", "over-300s")
    assert tuple(found["signed_bad_requests_total", ("main", age)] for age in ages) == counted


def test_other_events_are_neither_counted_nor_audited() -> None:
    others = (ServiceStopped(), OutcomeUnknown(profile="main", method="POST", path="/", cause="x"))
    assert set(samples(*others).values()) == {0}
    assert lines(*others) == []


def test_an_audit_line_has_every_field() -> None:
    traced = replace(CALLED, trace=TraceContext("a" * 32, "b" * 16, sampled=True))
    assert lines(traced) == [
        {
            "timestamp": "2026-01-01T00:00:00.000Z",
            "level": "info",
            "event": "audit",
            "endpoint": "gateway",
            "profile": "main",
            "method": "POST",
            "path": "/api/pay1st/payments/create",
            "caller": "uid:1000",
            "code": "2xx",
            "status": 201,
            "attempts": 1,
            "complete": True,
            "token_id": "0123456789abcdef",
            "suspect": False,
            "signed": True,
            "token_age_s": 12.5,
            "duration_s": 0.25,
            "trace_id": "a" * 32,
            "parent_id": "b" * 16,
        }
    ]


def test_what_is_false_or_zero_is_written_too() -> None:
    (line,) = lines(replace(CALLED, complete=False, signed=False, status=0, attempts=0, token_age_s=0.0))
    assert (line["complete"], line["signed"], line["status"], line["attempts"]) == (False, False, 0, 0)
