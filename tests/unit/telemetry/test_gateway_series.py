"""The series of the gateway that alerts need exist before the first call: an increase from nothing is not seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from sidecar.core.process_events import GatewayCalled
from sidecar.telemetry.gateway import GatewayMetrics

CALLED = GatewayCalled(
    profile="pay", method="POST", path="/", caller="", code="partner-outcome-unknown", status=0, attempts=1,
    complete=True, token_id="t", suspect=False, signed=True, token_age_s=301, duration_s=0.1, trace=None,
)  # fmt: skip


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"token_sidecar_{name}", {"profile": "pay", **labels})


@pytest.mark.parametrize(
    ("sent", "method"),
    [("POST", "POST"), ("PUT", "PUT"), ("PATCH", "PATCH"), ("DELETE", "DELETE"), ("MERGE", "other")],
)
def test_an_unknown_outcome_is_an_increase_whatever_the_method(sent: str, method: str) -> None:
    registry = CollectorRegistry()
    metrics = GatewayMetrics(registry, ["pay"])
    labels = {"method": method, "code": "partner-outcome-unknown"}
    assert value(registry, "gateway_requests_total", **labels) == 0
    metrics.emit(replace(CALLED, method=sent))
    assert value(registry, "gateway_requests_total", **labels) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("code", ["2xx", "4xx", "5xx", "partner-unreachable"])
def test_what_most_gateways_forward_has_its_series_from_the_start(method: str, code: str) -> None:
    registry = CollectorRegistry()
    GatewayMetrics(registry, ["pay"])
    assert value(registry, "gateway_requests_total", method=method, code=code) == 0


@pytest.mark.parametrize("age", ["up-to-300s", "over-300s"])
def test_signed_400s_have_their_series_from_the_start(age: str) -> None:
    registry = CollectorRegistry()
    GatewayMetrics(registry, ["pay"])
    assert value(registry, "gateway_signed_bad_requests_total", token_age=age) == 0
