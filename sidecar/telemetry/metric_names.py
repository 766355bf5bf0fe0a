"""The closed sets of the metrics' label values. They let every series exist from the start, at 0."""

from __future__ import annotations

from typing import get_args

from sidecar.core.errors import ERROR_CODES, ErrorCode, FailureKind
from sidecar.core.events import AttemptResult, Verdict
from sidecar.core.listener_limits import Limit, ListenerName
from sidecar.core.model import Operation, Reason
from sidecar.core.process_events import Endpoint, FileName
from sidecar.telemetry.line_writer import LineStream

NAMESPACE = "token_sidecar"

ROUTES: tuple[str, ...] = get_args(Endpoint)
OPERATIONS = tuple(Operation)
OUTCOMES: tuple[str, ...] = ("ok", *FailureKind)
REASONS = tuple(Reason)
RESULTS: tuple[str, ...] = get_args(AttemptResult)
VERDICTS: tuple[str, ...] = get_args(Verdict)
LISTENERS: tuple[str, ...] = get_args(ListenerName)
LIMITS: tuple[str, ...] = get_args(Limit)
FILES: tuple[FileName, ...] = get_args(FileName)
LINE_STREAMS: tuple[LineStream, ...] = get_args(LineStream)
STORE_OPERATIONS = ("claim", "commit", "fail", "reject", "peek", "seed", "ping")

GATEWAY_CODES: tuple[ErrorCode, ...] = ("gateway-not-allowed", "partner-unreachable", "partner-outcome-unknown")
"""Only responses of a gateway have these."""
CODES: tuple[str, ...] = ("ok", "not-modified", *(code for code in ERROR_CODES if code not in GATEWAY_CODES))
