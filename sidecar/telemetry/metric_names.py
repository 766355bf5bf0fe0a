"""The closed sets of the metrics' label values. They let every series exist from the start, at 0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from sidecar.core.errors import AnswerError, FailureKind
from sidecar.core.events import FlightResult, Verdict
from sidecar.core.listener_limits import Limit, ListenerName
from sidecar.core.model import Operation, Reason
from sidecar.core.process_events import Endpoint, FileName
from sidecar.telemetry.line_writer import LineStream

NAMESPACE = "token_sidecar"

ROUTES: tuple[str, ...] = get_args(Endpoint)
OPERATIONS = tuple(Operation)
OUTCOMES: tuple[str, ...] = ("ok", *FailureKind)
REASONS = tuple(Reason)
RESULTS: tuple[str, ...] = get_args(FlightResult)
VERDICTS: tuple[str, ...] = get_args(Verdict)
LISTENERS: tuple[str, ...] = get_args(ListenerName)
LIMITS: tuple[str, ...] = get_args(Limit)
FILES: tuple[FileName, ...] = get_args(FileName)
LINE_STREAMS: tuple[LineStream, ...] = get_args(LineStream)
STORE_OPERATIONS = ("claim", "commit", "fail", "reject", "peek", "seed", "ping")

_WEB_CODES = (
    "header-required",
    "forwarded-request",
    "host-not-allowed",
    "caller-not-allowed",
    "bad-request",
    "not-found",
    "method-not-allowed",
    "payload-too-large",
    "overloaded",
    "internal-error",
)


def _answer_codes(error: type[AnswerError]) -> Iterator[str]:
    for child in error.__subclasses__():
        if "code" in vars(child):
            yield child.code
        yield from _answer_codes(child)


CODES: tuple[str, ...] = tuple(dict.fromkeys(("ok", "not-modified", *_answer_codes(AnswerError), *_WEB_CODES)))
