"""Events become the metrics of the contract, with its names and labels from the first scrape on."""

from __future__ import annotations

import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.core.errors import ERROR_CODES, FailureKind
from sidecar.core.events import (
    AttemptEnded,
    Event,
    LeaseLost,
    PartnerCalled,
    RequestSigned,
    ServiceStopped,
    StoreFailed,
    TokenReported,
)
from sidecar.core.model import Operation, Reason
from sidecar.core.policy import Condition
from sidecar.core.ports import SharedState
from sidecar.core.process_events import LimitHit, RequestServed, StalledFile, TokenFileFailed
from sidecar.telemetry.metric_names import CODES, FILES, GATEWAY_CODES, STORE_OPERATIONS
from sidecar.telemetry.metrics import Metrics
from tests.monitoring.exported import SCRAPER_LABELS
from tests.support.fake_provider import NOW, FakeProvider

CONTRACT = {
    "requests_total": ("counter", {"profile", "route", "code"}),
    "request_duration_seconds": ("histogram", {"route"}),
    "partner_requests_total": ("counter", {"profile", "operation", "outcome"}),
    "partner_request_duration_seconds": ("histogram", {"profile", "operation"}),
    "flights_total": ("counter", {"profile", "reason", "result"}),
    "waiters": ("gauge", {"profile"}),
    "token_suspect": ("gauge", {"profile"}),
    "token_expiry_timestamp_seconds": ("gauge", {"profile"}),
    "token_issued_timestamp_seconds": ("gauge", {"profile"}),
    "token_last_success_timestamp_seconds": ("gauge", {"profile"}),
    "token_lifetime_seconds": ("gauge", {"profile", "kind"}),
    "cooldown_until_timestamp_seconds": ("gauge", {"profile"}),
    "call_budget_remaining": ("gauge", {"profile"}),
    "rejected_reports_total": ("counter", {"profile", "verdict"}),
    "lease_lost_total": ("counter", {"profile"}),
    "store_errors_total": ("counter", {"operation"}),
    "sink_errors_total": ("counter", {"profile"}),
    "store_up": ("gauge", set()),
    "stored_token_unreadable": ("gauge", {"profile"}),
    "connections": ("gauge", {"listener"}),
    "limits_hit_total": ("counter", {"listener", "limit"}),
    "log_lines_dropped_total": ("counter", {"stream"}),
    "credentials_valid": ("gauge", {"profile"}),
    "file_stalled": ("gauge", {"file"}),
    "build_info": ("gauge", {"version"}),
    "signatures_total": ("counter", {"profile"}),
    "partner_clock_offset_seconds": ("gauge", set()),
}


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def metrics(provider: FakeProvider) -> Metrics:
    return Metrics(lambda: [provider], ["default"], "1.2.3", lambda: {"vending": 3, "admin": 1})


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    body, _ = metrics.render("")
    families = text_string_to_metric_families(body.decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[f"token_sidecar_{name}", tuple(sorted(labels.items()))]


def test_the_metrics_are_those_of_the_contract(metrics: Metrics) -> None:
    found = {}
    for family in text_string_to_metric_families(metrics.render("")[0].decode()):
        if family.name.startswith("token_sidecar_"):
            name = family.name.removeprefix("token_sidecar_") + ("_total" if family.type == "counter" else "")
            found[name] = (family.type, set().union(*(s.labels for s in family.samples)) - {"le"})
    assert found == CONTRACT


def test_no_label_is_set_by_scrapers_too() -> None:
    """Prometheus would rename our label to `exported_…`, and expressions would match the scraper's label."""
    assert not set().union(*(labels for _, labels in CONTRACT.values())) & SCRAPER_LABELS


def test_promtool_accepts_the_output(metrics: Metrics) -> None:
    body, _ = metrics.render("")
    checked = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_help_of_credentials_valid_names_both_reasons_for_zero(metrics: Metrics) -> None:
    text = metrics.render("")[0].decode()
    assert "rejected the credentials, or while a new credentials file is empty or unreadable." in text


def test_scrapers_that_accept_openmetrics_get_it(metrics: Metrics) -> None:
    body, content_type = metrics.render("application/openmetrics-text; version=1.0.0,text/plain;q=0.5")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_an_invalid_accept_header_gets_plain_text(metrics: Metrics) -> None:
    _, content_type = metrics.render("application/openmetrics-text; version=abc")
    assert content_type.startswith("text/plain")


def test_file_operations_that_hang_are_counted_by_file() -> None:
    hanging = [StalledFile("credentials", "a"), StalledFile("credentials", "b"), StalledFile("token-file", "a")]
    metrics = Metrics(list, [], "1", stalled_files=lambda: hanging)
    counts = {file: value(metrics, "file_stalled", file=file) for file in FILES}
    assert counts == {**dict.fromkeys(FILES, 0), "credentials": 2, "token-file": 1}


def test_no_created_series_are_written(metrics: Metrics) -> None:
    assert b"_created" not in metrics.render("")[0]
    assert b"_created" not in metrics.render("application/openmetrics-text; version=1.0.0")[0]


def test_connections_and_the_limits_they_hit_are_shown_by_listener(metrics: Metrics) -> None:
    metrics.emit(LimitHit(listener="admin", limit="slow-reader"))
    assert value(metrics, "connections", listener="vending") == 3
    assert value(metrics, "limits_hit_total", listener="admin", limit="slow-reader") == 1


def test_dropped_lines_of_log_and_audit_are_counted_apart() -> None:
    metrics = Metrics(list, [], "1", lines_dropped=lambda: {"log": 2, "audit": 3})
    assert value(metrics, "log_lines_dropped_total", stream="log") == 2
    assert value(metrics, "log_lines_dropped_total", stream="audit") == 3


def test_every_combination_of_closed_sets_starts_at_zero(metrics: Metrics) -> None:
    found = samples(metrics)
    counts = {
        name: sum(key[0] == f"token_sidecar_{name}" for key in found)
        for name, (kind, _) in CONTRACT.items()
        if kind == "counter"
    }
    assert counts == {
        "requests_total": 2 * 5 * len(CODES),
        "partner_requests_total": 2 * 8,
        "flights_total": 5 * 3,
        "rejected_reports_total": 4,
        "lease_lost_total": 1,
        "store_errors_total": 7,
        "sink_errors_total": 1,
        "limits_hit_total": 3 * 6,
        "log_lines_dropped_total": 2,
        "signatures_total": 1,
    }
    assert all(found[key] == 0 for key in found if key[0].removeprefix("token_sidecar_") in counts)


def test_every_error_code_is_a_label_from_the_start() -> None:
    assert set(CODES) == {"ok", "not-modified", *ERROR_CODES} - set(GATEWAY_CODES)


@pytest.mark.parametrize(
    ("event", "name", "labels"),
    [
        (
            RequestServed(profile="default", endpoint="token", code="ok", duration_s=0.0002),
            "requests_total",
            {"profile": "default", "route": "token", "code": "ok"},
        ),
        (
            RequestServed(profile="default", endpoint="token", code="ok", duration_s=0.0002),
            "request_duration_seconds_bucket",
            {"route": "token", "le": "0.00025"},
        ),
        (
            PartnerCalled(profile="default", operation=Operation.GRANT, outcome="ok", duration_s=0.1),
            "partner_requests_total",
            {"profile": "default", "operation": "grant", "outcome": "ok"},
        ),
        (
            PartnerCalled(profile="default", operation=Operation.GRANT, outcome=FailureKind.TIMEOUT, duration_s=11),
            "partner_request_duration_seconds_bucket",
            {"profile": "default", "operation": "grant", "le": "30.0"},
        ),
        (
            AttemptEnded(profile="default", reason=Reason.MIN_TTL, result="adopted"),
            "flights_total",
            {"profile": "default", "reason": "min-ttl", "result": "adopted"},
        ),
        (
            TokenReported(profile="default", token_id="t", verdict="later"),
            "rejected_reports_total",
            {"profile": "default", "verdict": "later"},
        ),
        (LeaseLost(profile="default", stage="commit"), "lease_lost_total", {"profile": "default"}),
        (StoreFailed(profile="default", operation="peek", cause="X"), "store_errors_total", {"operation": "peek"}),
        (
            TokenFileFailed(profile="default", cause="ENOSPC", old_token_left=False),
            "sink_errors_total",
            {"profile": "default"},
        ),
    ],
)
def test_an_event_is_counted(metrics: Metrics, event: Event, name: str, labels: dict[str, str]) -> None:
    metrics.emit(event)
    assert value(metrics, name, **labels) == 1


@pytest.mark.parametrize(
    "event",
    [
        ServiceStopped(),
        PartnerCalled(profile="unheard-of", operation=Operation.GRANT, outcome="ok", duration_s=1),
        LeaseLost(profile="unheard-of", stage="commit"),
        StoreFailed(profile="default", operation="unheard-of", cause="X"),
    ],
)
def test_a_value_outside_the_closed_sets_makes_no_series(metrics: Metrics, event: Event) -> None:
    before = samples(metrics).keys()
    metrics.emit(event)
    assert samples(metrics).keys() == before


def test_an_unknown_profile_is_counted_without_its_name(metrics: Metrics) -> None:
    metrics.emit(RequestServed(profile="unheard-of", endpoint="token", code="unknown-profile", duration_s=0))
    assert value(metrics, "requests_total", profile="", route="token", code="unknown-profile") == 1
    assert b"unheard-of" not in metrics.render("")[0]


def test_store_operations_are_those_of_the_port() -> None:
    methods = {name for name in vars(SharedState) if not name.startswith("_")}
    assert set(STORE_OPERATIONS) == {*methods, "ping"}


@pytest.mark.parametrize(
    ("change", "name", "labels", "expected"),
    [
        ({"waiters": 3}, "waiters", {}, 3),
        ({"condition": Condition.SUSPECT}, "token_suspect", {}, 1),
        ({}, "token_suspect", {}, 0),
        ({}, "token_expiry_timestamp_seconds", {}, NOW + 900),
        ({}, "token_issued_timestamp_seconds", {}, NOW),
        ({"last_success_at": 0}, "token_last_success_timestamp_seconds", {}, 0),
        ({"cooldown_until": NOW + 30}, "cooldown_until_timestamp_seconds", {}, NOW + 30),
        ({"budget_remaining": 0}, "call_budget_remaining", {}, 0),
        ({"credentials_valid": False}, "credentials_valid", {}, 0),
        ({"declared_s": 600}, "token_lifetime_seconds", {"kind": "declared"}, 600),
        ({}, "token_lifetime_seconds", {"kind": "assumed"}, 900),
        ({"learned_s": 500}, "token_lifetime_seconds", {"kind": "learned"}, 500),
    ],
)
def test_a_gauge_shows_the_state_at_the_scrape(
    metrics: Metrics,
    provider: FakeProvider,
    change: dict[str, object],
    name: str,
    labels: dict[str, str],
    expected: float,
) -> None:
    provider.show(**change)
    assert value(metrics, name, profile="default", **labels) == expected


def test_the_store_is_up_only_when_every_profile_can_use_it() -> None:
    first, second = FakeProvider(), FakeProvider("other")
    metrics = Metrics(lambda: [first, second], ["default", "other"], "1")
    assert value(metrics, "store_up") == 1
    second.show(store_up=False)
    assert value(metrics, "store_up") == 0


def test_the_providers_may_be_built_after_the_metrics() -> None:
    """The broker needs a sink when it is built, so building the registry must not use the providers."""

    def too_early() -> list[FakeProvider]:
        raise AssertionError("asked for providers at construction")

    Metrics(too_early, ["default"], "1")


def test_the_partners_clock_has_no_offset_until_it_is_measured(metrics: Metrics, provider: FakeProvider) -> None:
    key = "token_sidecar_partner_clock_offset_seconds", (("profile", "default"),)
    assert key not in samples(metrics)
    provider.show(clock_offset_s=-61.5)
    assert samples(metrics)[key] == -61.5


def test_signatures_are_counted(metrics: Metrics) -> None:
    metrics.emit(RequestSigned(profile="default"))
    assert value(metrics, "signatures_total", profile="default") == 1
