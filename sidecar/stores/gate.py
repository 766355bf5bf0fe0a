"""What is stored for one profile, and what it means to a replica: the same documents for both stores.

Instants are whole milliseconds of the store's clock. `scripts/_gate.lua` checks these shapes before anything is
decided by them, so a field added here is added there.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Literal, TypeAlias

import msgspec

from sidecar.core.failures import PartnerDetail
from sidecar.core.model import Seconds, Secret

REMEMBERED_IDS = 4
"""Refused and proven credentials kept: two pairs in rotation, twice."""

OutcomeName: TypeAlias = Literal[
    "seen",
    "granted", "adopt", "held", "cooling-down", "over-budget",
    "stored", "older",
    "failed",
    "current", "confirmed", "late",
    "seeded",
]  # fmt: skip
"""What an operation decided, a line for each operation."""


class Lease(msgspec.Struct):
    nonce: str
    fence: int
    from_ms: int
    until_ms: int


class StoredPause(msgspec.Struct):
    """A pause with its instants; `detail` is ASCII JSON of a `PartnerDetail`, or empty."""

    kind: str
    from_ms: int
    until_ms: int
    strikes: int
    detail: str = ""


class Gate(msgspec.Struct):
    """All that replicas agree on but the token; outlives it."""

    epoch: str
    born_ms: int
    lost: bool = False
    fence: int = 0
    failed_nonce: str = ""
    lease: Lease | None = None
    pause: StoredPause | None = None
    strikes: dict[str, int] = {}
    refused: dict[str, StoredPause] = {}
    proven: list[str] = []
    grants_ms: list[int] = []
    demand_ms: list[int] = []
    rejected_id: str = ""
    rejected_age_ms: int = 0
    confirmed_id: str = ""
    refresh_dropped: int = 0
    learned_s: float = 0
    evidence_s: float = 0


class StoredToken(msgspec.Struct):
    """What lies beside the sealed text; `sealed` is empty where the asker knows the token."""

    fence: int
    id: str
    issued_ms: int
    sealed: Secret = Secret("")


class View(msgspec.Struct):
    """One operation's answer: what was decided, and what is stored after it."""

    now_ms: int
    outcome: OutcomeName
    left_ms: int = 0
    gate: Gate | None = None
    token: StoredToken | None = None
    damaged: list[str] = []


def left_ms(span: Lease | StoredPause | None, now_ms: int) -> int:
    return max(0, span.until_ms - now_ms) if span else 0


def ms(span_s: Seconds) -> int:
    """Whole milliseconds, rounded up: a pause and a token's age are never made shorter."""
    return math.ceil(span_s * 1000)


def detail_text(detail: PartnerDetail | None) -> str:
    """ASCII, so that scripts can tell text from damage without knowing Unicode."""
    if detail is None:
        return ""
    return json.dumps(asdict(detail))
