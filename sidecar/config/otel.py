"""Decides from OpenTelemetry's own environment variables whether traces are exported. Its SDK reads them itself.

Such variables often come from the platform, for everything that runs on it. A variable that the SDK would refuse or
misread causes a warning with its name, and turns traces off. No value is quoted: headers and endpoints may hold
secrets.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from sidecar.config.settings import Diagnostics

PREFIX = "OTEL_"

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SAMPLER, _SAMPLER_ARG = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
_QUEUE, _BATCH = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
_QUEUE_DEFAULT, _BATCH_DEFAULT = 2048, 512
_LARGEST = 2**31 - 1
"""Larger numbers overflow in the SDK's lists and waits when the first span is created or sent."""


def traces_wanted(environ: Mapping[str, str], diagnostics: Diagnostics) -> bool:
    """Return whether an endpoint is set, traces are not off, and all variables are valid. Warn of invalid ones."""
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip()
    off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none"
    if off or not any(environ.get(name) for name in _ENDPOINTS):
        return False
    unfit = tuple(_unfit(environ))
    for variable, why in unfit:
        diagnostics.warn(f"{variable}: {why}, so no traces are sent")
    return not unfit


def _unfit(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each invalid variable with the reason."""
    for names, fits, why in _RULES:
        # Like the SDK, use the first that is set and ignore the next.
        name = next((name for name in names if environ.get(name)), None)
        if name is not None and not fits(environ[name].strip()):
            yield name, why
    if "ratio" in environ.get(_SAMPLER, "") and not _is_fraction(environ.get(_SAMPLER_ARG) or "1"):
        yield _SAMPLER_ARG, "it must be a number from 0 to 1"
    queue, batch = _whole(environ, _QUEUE, _QUEUE_DEFAULT), _whole(environ, _BATCH, _BATCH_DEFAULT)
    if queue is not None and batch is not None and batch > queue:
        beside = "" if environ.get(_QUEUE) and environ.get(_BATCH) else " (2048 and 512 where they are not set)"
        yield f"{_QUEUE}, {_BATCH}", f"a batch of {batch} is larger than the queue of {queue}{beside}"


def _whole(environ: Mapping[str, str], name: str, default: int) -> int | None:
    """Return the variable's number, else the default when it is unset; None when it is invalid."""
    text = environ.get(name, "").strip()
    return (int(text) if _is_positive(text) else None) if text else default


def _whole_from(smallest: int) -> Callable[[str], bool]:
    return lambda text: text.isascii() and text.isdecimal() and len(text) < 20 and smallest <= int(text) <= _LARGEST


_is_positive = _whole_from(1)


def _is_seconds(text: str) -> bool:
    try:
        return 0 < float(text) <= _LARGEST
    except ValueError:
        return False


def _is_fraction(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _are_pairs(text: str) -> bool:
    return all(pair.partition("=")[0].strip() and "=" in pair for pair in text.split(",") if pair.strip())


def _is_file(text: str) -> bool:
    return os.access(text, os.R_OK)


def _one_of(*words: str) -> Callable[[str], bool]:
    return lambda text: text.lower() in words


def _of_traces(name: str) -> tuple[str, str]:
    """Return the variable for traces only, which takes precedence, and the one for all signals."""
    return f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}"


_LIMITS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
)
_FILES = ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")
_SAMPLERS = _one_of(
    *(f"{kind}{name}" for kind in ("", "parentbased_") for name in ("always_on", "always_off", "traceidratio"))
)
_RULES: tuple[tuple[tuple[str, ...], Callable[[str], bool], str], ...] = (
    (_ENDPOINTS, _is_url, "it must be http:// or https:// and a host, such as http://collector:4318"),
    (_PROTOCOLS, _one_of("http/protobuf"), "traces are sent as http/protobuf only (port 4318)"),
    (("OTEL_TRACES_EXPORTER",), _one_of("otlp"), "traces are sent by otlp only"),
    *(((name,), _whole_from(1), "it must be a whole number above 0") for name in (_QUEUE, _BATCH)),
    (("OTEL_BSP_SCHEDULE_DELAY",), _whole_from(1), "it must be a whole number of milliseconds above 0"),
    (("OTEL_BSP_EXPORT_TIMEOUT",), _whole_from(0), "it must be a whole number of milliseconds"),
    *(((name,), _whole_from(0), "it must be a whole number") for name in _LIMITS),
    (_of_traces("TIMEOUT"), _is_seconds, "it must be a number of seconds above 0"),
    (_of_traces("COMPRESSION"), _one_of("none", "gzip", "deflate"), "it must be none, gzip or deflate"),
    (_of_traces("HEADERS"), _are_pairs, "it must be name=value pairs with commas between them"),
    *((_of_traces(name), _is_file, "it names no file that can be read") for name in _FILES),
    (("OTEL_RESOURCE_ATTRIBUTES",), _are_pairs, "it must be name=value pairs with commas between them"),
    ((_SAMPLER,), _SAMPLERS, "it is no sampler that is known here"),
    (("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED",), _one_of("true", "false"), "it must be true or false"),
)
"""Variables, of which the SDK uses the first that is set; the check of its text; the text of the warning."""
