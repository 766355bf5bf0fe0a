"""When OpenTelemetry's variables ask for traces."""

from __future__ import annotations

import pytest

from sidecar.config.findings import Findings
from sidecar.config.otel import traces_wanted

AT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        (AT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        (AT | {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        (AT | {"OTEL_SDK_DISABLED": "True"}, False),
        (AT | {"OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_an_endpoint_asks_for_them_unless_something_turns_them_off(environ: dict[str, str], wanted: bool) -> None:
    findings = Findings()
    assert traces_wanted(environ, findings) is wanted
    assert (findings.warnings, findings.problems) == ((), ())


@pytest.mark.parametrize(
    ("environ", "blamed"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        ),
    ],
)
def test_another_protocol_is_named_and_stops_nothing(environ: dict[str, str], blamed: str) -> None:
    findings = Findings()
    assert not traces_wanted(AT | environ, findings)
    (warning,) = findings.warnings
    assert warning.startswith(f"{blamed}: ")
