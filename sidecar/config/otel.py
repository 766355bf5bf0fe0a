"""Whether traces are exported: OpenTelemetry's own environment variables say so, which its SDK reads itself."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.config.findings import Findings

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def traces_wanted(environ: Mapping[str, str], findings: Findings) -> bool:
    """An endpoint is named, and nothing turns traces off.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    elsewhere = environ.get("OTEL_TRACES_EXPORTER", "otlp") not in ("", "otlp")
    if off or elsewhere or not any(environ.get(name) for name in _ENDPOINTS):
        return False
    protocol = next((name for name in _PROTOCOLS if environ.get(name)), None)
    if protocol is not None and environ[protocol] != "http/protobuf":
        # A warning: such variables often come from the platform, for everything that runs on it.
        findings.warn(f"{protocol}: traces are sent as http/protobuf only (port 4318), so none are sent")
        return False
    return True
