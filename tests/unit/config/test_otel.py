"""When OpenTelemetry's variables enable traces."""

from __future__ import annotations

import pytest

from sidecar.config.otel import traces_wanted
from sidecar.config.settings import Diagnostics

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
def test_an_endpoint_enables_traces_unless_a_variable_disables_them(environ: dict[str, str], wanted: bool) -> None:
    diagnostics = Diagnostics()
    assert traces_wanted(environ, diagnostics) is wanted
    assert (diagnostics.warnings, diagnostics.problems) == ((), ())


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
def test_an_unsupported_protocol_is_named_and_does_not_stop_the_start(environ: dict[str, str], blamed: str) -> None:
    diagnostics = Diagnostics()
    assert not traces_wanted(AT | environ, diagnostics)
    (warning,) = diagnostics.warnings
    assert warning.startswith(f"{blamed}: ")


NAMED = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("collector:4318", "collector", "http://", "grpc://collector:4317", "http://h:x"),
    "OTEL_TRACES_EXPORTER": ("console", "otlp,console"),
    "OTEL_BSP_MAX_QUEUE_SIZE": ("0", "-1", "x", "1.5", "9" * 20, "²"),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": ("0", "x"),
    "OTEL_BSP_SCHEDULE_DELAY": ("0", "9" * 20),
    "OTEL_BSP_EXPORT_TIMEOUT": ("-1", "x"),
    "OTEL_ATTRIBUTE_COUNT_LIMIT": ("x", "-1"),
    "OTEL_SPAN_EVENT_COUNT_LIMIT": ("9" * 20, "unset"),
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": ("-1",),
    "OTEL_EXPORTER_OTLP_TIMEOUT": ("x", "0", "-1", "inf", "nan", "9" * 20),
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": ("zstd",),
    "OTEL_EXPORTER_OTLP_HEADERS": ("canary", "a=b,canary", "=canary"),
    "OTEL_EXPORTER_OTLP_CERTIFICATE": ("/nonexistent",),
    "OTEL_RESOURCE_ATTRIBUTES": ("canary",),
    "OTEL_TRACES_SAMPLER": ("jaeger_remote",),
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": ("yes",),
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in NAMED.items() for text in texts])
def test_an_invalid_variable_is_named_without_its_value_and_disables_traces(name: str, text: str) -> None:
    diagnostics = Diagnostics()
    assert not traces_wanted({**AT, name: text}, diagnostics)
    (warning,) = diagnostics.warnings
    assert warning.startswith(f"{name}: ")
    assert "canary" not in warning
    assert diagnostics.problems == ()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"OTEL_BSP_MAX_QUEUE_SIZE": "256"},
            "a batch of 512 is larger than the queue of 256 (2048 and 512 where they are not set)",
        ),
        (
            {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4096"},
            "a batch of 4096 is larger than the queue of 2048 (2048 and 512 where they are not set)",
        ),
        (
            {"OTEL_BSP_MAX_QUEUE_SIZE": "2", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "3"},
            "a batch of 3 is larger than the queue of 2",
        ),
    ],
)
def test_a_batch_beyond_its_queue_names_both_variables(environ: dict[str, str], expected: str) -> None:
    diagnostics = Diagnostics()
    assert not traces_wanted(AT | environ, diagnostics)
    assert diagnostics.warnings == (
        f"OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_EXPORT_BATCH_SIZE: {expected}, so no traces are sent",
    )


@pytest.mark.parametrize("arg", ["2", "-0.1", "x", "nan"])
def test_an_invalid_ratio_is_named(arg: str) -> None:
    diagnostics = Diagnostics()
    environ = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": arg}
    assert not traces_wanted(AT | environ, diagnostics)
    assert diagnostics.warnings == ("OTEL_TRACES_SAMPLER_ARG: it must be a number from 0 to 1, so no traces are sent",)


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_BSP_MAX_QUEUE_SIZE": "256", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "256"},
        {"OTEL_BSP_MAX_QUEUE_SIZE": "", "OTEL_SPAN_LINK_COUNT_LIMIT": "", "OTEL_EXPORTER_OTLP_HEADERS": " "},
        {"OTEL_ATTRIBUTE_COUNT_LIMIT": "0", "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=canary,x=a=b, y=%20 ,", "OTEL_RESOURCE_ATTRIBUTES": "a=b,c="},
        {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
        {"OTEL_TRACES_SAMPLER": "always_on", "OTEL_TRACES_SAMPLER_ARG": "endpoint=x"},
        {"OTEL_EXPORTER_OTLP_COMPRESSION": "zstd", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip"},
        {"OTEL_METRICS_EXPORTER": "nonsense", "OTEL_BLRP_MAX_QUEUE_SIZE": "x"},
    ],
)
def test_valid_and_unused_variables_do_not_disable_traces(environ: dict[str, str]) -> None:
    diagnostics = Diagnostics()
    assert traces_wanted(AT | environ, diagnostics)
    assert diagnostics.warnings == ()
