"""Spans of a sidecar in the collector that the variables of OpenTelemetry name."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from sidecar import __version__
from sidecar.partner.presets import PRESETS
from tests.support.collector import OTEL, Collector
from tests.support.own_names import OwnNames, needs_own_names
from tests.support.processes import KEY, SECRET, Fleet
from tests.support.replica import CALLER, SERVE, Replica, until
from tests.support.threaded import in_a_thread

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PAY1ST = PRESETS["pay1st"]
SAMPLED = {**CALLER, "traceparent": f"00-{TRACE}-{SPAN}-01"}
UNSAMPLED = {**CALLER, "traceparent": f"00-{TRACE}-{SPAN}-00"}
UNHINDERED_S = 20
"""Without our limit OpenTelemetry would take 30 s for the last export."""
OFTEN = 5
"""Enough requests that the fast path answers some of them."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with in_a_thread(Collector()) as collector:
        yield collector


async def exporting(fleet: Fleet, endpoint: str) -> Replica:
    fleet.settings = {"PYTHONPATH": str(OTEL), **fleet.settings, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    (replica,) = await fleet.ready(1)
    return replica


async def test_each_sampled_request_is_a_span_of_its_callers_trace(fleet: Fleet, collector: Collector) -> None:
    replica = await exporting(fleet, collector.url)
    began = time.monotonic()
    for headers in (SAMPLED, UNSAMPLED, CALLER):
        for _ in range(OFTEN):
            assert (await replica.ask(headers=headers)).status == 200
    assert (await replica.ask(headers={"traceparent": SAMPLED["traceparent"]})).code == "header-required"
    took_s = time.monotonic() - began
    await fleet.stop(replica)

    spans = [span for span in collector.spans if span.name == "sidecar token"]
    assert {(span.trace_id, span.parent_id) for span in spans} == {(TRACE, SPAN)}
    found = Counter((span.attributes["token_sidecar.code"], span.is_error) for span in spans)
    assert found == {("ok", False): OFTEN, ("header-required", True): 1}
    assert all(span.took_s > 0 for span in spans)
    assert sum(span.took_s for span in spans) < took_s, "one request followed the other"


async def test_each_sampled_call_through_the_gateway_is_a_span_of_its_callers_trace(
    fleet: Fleet, collector: Collector
) -> None:
    fleet.settings["SIDECAR_GATEWAY_LISTEN"] = "127.0.0.1:0"
    replica = await exporting(fleet, collector.url)
    gateway = f"http://{replica.events('service_started')[0]['gateways'][0]}"
    for method, path in (("GET", PAY1ST.probe_path), ("POST", PAY1ST.token_path)):
        async with fleet.session.request(method, gateway + path, headers=SAMPLED) as response:
            assert response.headers["Sidecar-Answer"] == ("partner" if method == "GET" else "sidecar")
    await fleet.stop(replica)

    spans = [span for span in collector.spans if span.name == "sidecar gateway"]
    assert {(span.trace_id, span.parent_id) for span in spans} == {(TRACE, SPAN)}
    found = {(span.attributes["token_sidecar.code"], span.is_error) for span in spans}
    assert found == {("2xx", False), ("gateway-not-allowed", True)}


async def test_each_partner_call_is_a_trace_of_its_own(fleet: Fleet, collector: Collector) -> None:
    fleet.settings["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment.name=test"
    replica = await exporting(fleet, collector.url)
    token = (await replica.ask(headers=SAMPLED)).body["accessToken"]
    await fleet.stop(replica)

    (call,) = [span for span in collector.spans if span.name == "partner grant"]
    assert (call.parent_id, call.is_error) == ("", False)
    assert call.attributes == {"token_sidecar.profile": "default", "token_sidecar.outcome": "ok"}
    assert call.trace_id != TRACE
    of = {"service.name": "pay1st-token-sidecar", "service.version": __version__, "deployment.environment.name": "test"}
    assert of.items() <= call.resource.items()
    assert not [secret for secret in (token, KEY, SECRET) if secret.encode() in collector.bodies]


async def test_a_name_that_the_variables_give_is_the_services_name(fleet: Fleet, collector: Collector) -> None:
    fleet.settings["OTEL_SERVICE_NAME"] = "pay"
    replica = await exporting(fleet, collector.url)
    await fleet.stop(replica)
    assert {span.resource["service.name"] for span in collector.spans} == {"pay"}


async def test_a_collector_that_never_answers_delays_no_request_and_no_stop(fleet: Fleet) -> None:
    fleet.settings["OTEL_EXPORTER_OTLP_TIMEOUT"] = "300"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        replica = await exporting(fleet, f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert (await replica.ask(headers=SAMPLED)).status == 200
        await fleet.stop(replica, UNHINDERED_S)


@needs_own_names()
async def test_a_silent_name_server_of_the_collector_delays_no_stop(fleet: Fleet, silent_names: OwnNames) -> None:
    fleet.settings |= {"PYTHONPATH": str(OTEL), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.silent.test:4318"}
    replica = fleet.launch(silent_names.argv(*SERVE))
    await replica.listening()
    await until(replica.ready)  # the partner call is a span
    await fleet.stop(replica, UNHINDERED_S)


async def test_without_the_extra_it_serves_and_logs_a_warning(fleet: Fleet) -> None:
    fleet.settings["PYTHONPATH"] = ""
    replica = await exporting(fleet, "http://127.0.0.1:1")
    assert (await replica.ask(headers=SAMPLED)).status == 200
    (warning,) = replica.events("configuration_warning")
    assert "the extra 'otel' is not installed" in warning["warning"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "256"),
        pytest.param("OTEL_SPAN_LINK_COUNT_LIMIT", "many", marks=pytest.mark.slow),
        pytest.param("OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER", "nowhere", marks=pytest.mark.slow),
    ],
)
async def test_a_variable_that_does_not_fit_stops_nothing_and_is_named(
    fleet: Fleet, collector: Collector, name: str, text: str
) -> None:
    fleet.settings[name] = text
    replica = await exporting(fleet, collector.url)
    assert (await replica.ask(headers=SAMPLED)).status == 200
    (warning,) = replica.events("configuration_warning")
    assert name in warning["warning"]
    checked = fleet.launch(("-m", "sidecar", "check"))
    assert await checked.ended() == 0
    (line,) = [line for line in checked.output.splitlines() if name in line]
    assert line.partition(" ")[0] in ("warning", "note")
    await fleet.stop(replica)
    assert collector.spans == []


async def test_a_collector_on_loopback_is_called_without_the_environments_proxy(
    fleet: Fleet, collector: Collector
) -> None:
    fleet.settings |= {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
    replica = await exporting(fleet, collector.url)
    await fleet.stop(replica)
    assert {span.name for span in collector.spans} == {"partner grant"}


async def test_an_endpoint_without_a_scheme_is_logged_with_its_cause(fleet: Fleet) -> None:
    replica = await exporting(fleet, "collector:4318")
    assert (await replica.ask(headers=SAMPLED)).status == 200
    (warning,) = replica.events("configuration_warning")
    assert warning["warning"].startswith("OTEL_EXPORTER_OTLP_ENDPOINT: it must be http:// or https:// and a host")


async def test_a_collector_that_refuses_is_logged_with_its_status(fleet: Fleet, collector: Collector) -> None:
    collector.status = 401
    replica = await exporting(fleet, collector.url)
    await fleet.stop(replica)
    logged = [line for line in replica.events("library_message") if line["logger"].startswith("opentelemetry.")]
    assert {line.get("status") for line in logged} == {401}


async def test_a_collector_that_cannot_be_reached_is_logged_with_the_exceptions_class(fleet: Fleet) -> None:
    replica = await exporting(fleet, "http://127.0.0.1:1")
    await fleet.stop(replica, UNHINDERED_S)
    logged = [line for line in replica.events("library_message") if line["logger"].startswith("opentelemetry.")]
    assert "ConnectionError" in {line.get("cause") for line in logged}
