"""Whatever the variables of OpenTelemetry hold, opening the exporter raises nothing and names the variable."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sidecar.app.clock import SystemClock
from sidecar.app.observers import open_spans
from sidecar.config.otel import traces_wanted
from sidecar.config.settings import Diagnostics
from sidecar.core.events import PartnerCalled
from sidecar.core.model import Operation
from tests.support.collector import OTEL, Collector
from tests.support.threaded import in_a_thread

assert OTEL.exists()
from opentelemetry.sdk import environment_variables as sdk  # noqa: E402 - the import above says where it is

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
CLOSE_S = 20
NAMES = sorted({value for name, value in vars(sdk).items() if name.lstrip("_").startswith("OTEL_")})
UNREADABLE = ("nonsense", "-1", "0", "1.5", "9" * 20, "", " ", "a=b,c", "é")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with in_a_thread(Collector()) as collector:
        yield collector.url


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*NAMES, "OTEL_PYTHON_METER_PROVIDER"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


async def warnings_with(environ: pytest.MonkeyPatch, variables: dict[str, str]) -> tuple[str, ...]:
    for name, text in variables.items():
        environ.setenv(name, text)
    diagnostics = Diagnostics()
    if not traces_wanted(variables, diagnostics):
        assert diagnostics.problems == ()
        return diagnostics.warnings
    spans, warnings = open_spans(SystemClock())
    assert (spans is None) == bool(warnings)
    if spans is not None:
        called = PartnerCalled(profile="p", operation=Operation.GRANT, outcome="ok", duration_s=0.1)
        spans.emit(called)
        await spans.close(CLOSE_S)
    return warnings


@pytest.mark.parametrize("name", [*NAMES, "OTEL_PYTHON_METER_PROVIDER"])
async def test_no_value_of_a_variable_stops_the_start_and_one_that_turns_traces_off_is_named(
    name: str, url: str, environ: pytest.MonkeyPatch
) -> None:
    for text in UNREADABLE:
        for warning in await warnings_with(environ, {ENDPOINT: url, name: text}):
            assert name in warning, (text, warning)


@pytest.mark.parametrize(
    "name", ["OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER", "OTEL_PYTHON_METER_PROVIDER"]
)
async def test_what_only_the_sdk_can_judge_is_named_without_its_value(
    name: str, url: str, environ: pytest.MonkeyPatch
) -> None:
    (warning,) = await warnings_with(environ, {ENDPOINT: url, name: "canary"})
    assert warning.startswith("OpenTelemetry's SDK refuses its variables (")
    assert name in warning
    assert "canary" not in warning


async def test_a_span_that_cannot_be_made_stops_nobody(
    url: str, environ: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environ.setenv(ENDPOINT, url)
    spans, _ = open_spans(SystemClock())
    assert spans is not None
    impossible = PartnerCalled(profile="p", operation=Operation.GRANT, outcome="ok", duration_s=float("nan"))
    spans.emit(impossible)
    assert "a span could not be made" in caplog.text
    await spans.close(CLOSE_S)
