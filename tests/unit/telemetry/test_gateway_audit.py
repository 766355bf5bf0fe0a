"""The gateway's audit line has every field of its event, and masks secrets in the app's texts."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sidecar.core.model import Secret
from sidecar.core.process_events import GatewayCalled
from sidecar.core.trace_context import TraceContext
from sidecar.telemetry.gateway import GatewayAudit
from sidecar.telemetry.log import event_fields
from sidecar.telemetry.redaction import MASK, Redactor
from tests.support.fake_provider import FixedClock

SECRET = 'a-secret"\\'
CALLED = GatewayCalled(
    profile="default", method="POST", path="/api/pay1st/payments/create", caller="127.0.0.1:4711", code="2xx",
    status=201, attempts=1, complete=True, token_id="t1", suspect=False, signed=True, token_age_s=12.3456789,
    duration_s=0.0123456789,
    trace=TraceContext(trace_id="1" * 32, parent_id="2" * 16, sampled=True),
)  # fmt: skip
FAILED = replace(
    CALLED, code="partner-unreachable", status=0, attempts=0, complete=False, token_id="", suspect=True,
    token_age_s=0.0, trace=None,
)  # fmt: skip


def line_of(event: GatewayCalled) -> dict[str, object]:
    lines: list[str] = []
    redactor = Redactor()
    redactor.register(Secret(SECRET))
    GatewayAudit("json", lines.append, redactor, FixedClock()).emit(event)
    (line,) = lines
    return dict(json.loads(line))


@pytest.mark.parametrize("event", [CALLED, FAILED], ids=["called", "failed"])
def test_a_line_has_every_field_of_the_event(event: GatewayCalled) -> None:
    line = line_of(event)
    assert line.pop("timestamp")
    assert line == {"event": "audit", "level": "info", "endpoint": "gateway", **event_fields(event)}


def test_a_secret_in_method_or_path_is_masked() -> None:
    line = line_of(replace(CALLED, method=f"X{SECRET}", path=f"/api/{SECRET}/x"))
    assert (line["method"], line["path"]) == (f"X{MASK}", f"/api/{MASK}/x")
