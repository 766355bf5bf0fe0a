"""The counts of a gateway, as `/status.json` shows them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.core.events import RequestSigned
from sidecar.core.process_events import GatewayCalled
from sidecar.gateway.counts import GatewayCounts

ANSWERED = GatewayCalled(
    profile="default", method="POST", path="/", caller="", code="2xx", status=201, attempts=1, complete=True,
    token_id="t", suspect=False, signed=True, token_age_s=10, duration_s=0.1, trace=None,
)  # fmt: skip
NOTHING = GatewayCounts().document()


def counted(*calls: GatewayCalled) -> dict[str, dict[str, int]]:
    """Return the counts that are not 0."""
    counts = GatewayCounts()
    for call in calls:
        counts.emit(call)
    found: dict[str, dict[str, int]] = counts.document()  # type: ignore[assignment]  # two objects of counts
    return {name: {field: count for field, count in fields.items() if count} for name, fields in found.items()}


def test_before_the_first_call_every_count_is_there_and_0() -> None:
    requests = dict.fromkeys(("answered", "unreachable", "outcomeUnknown", "notAllowed", "otherErrors"), 0)
    assert {"requests": requests, "signedBadRequests": {"upTo300Seconds": 0, "over300Seconds": 0}} == NOTHING


@pytest.mark.parametrize(
    ("code", "status", "field"),
    [
        ("2xx", 201, "answered"),
        ("5xx", 503, "answered"),
        ("partner-unreachable", 0, "unreachable"),
        ("partner-outcome-unknown", 0, "outcomeUnknown"),
        ("gateway-not-allowed", 0, "notAllowed"),
        ("header-required", 0, "otherErrors"),
        ("partner-cooling-down", 0, "otherErrors"),
    ],
)
def test_each_call_is_counted_once_by_its_outcome(code: str, status: int, field: str) -> None:
    found = counted(*[replace(ANSWERED, code=code, status=status)] * 2)
    assert found == {"requests": {field: 2}, "signedBadRequests": {}}


@pytest.mark.parametrize(
    ("age_s", "field"), [(0, "upTo300Seconds"), (300, "upTo300Seconds"), (300.1, "over300Seconds")]
)
def test_signed_400s_are_counted_by_the_age_of_their_token(age_s: float, field: str) -> None:
    refused = replace(ANSWERED, code="4xx", status=400, token_age_s=age_s)
    others = (replace(refused, signed=False), replace(refused, status=405))
    assert counted(refused, *others)["signedBadRequests"] == {field: 1}


def test_other_events_are_not_counted() -> None:
    counts = GatewayCounts()
    counts.emit(RequestSigned(profile="default"))
    assert counts.document() == NOTHING
