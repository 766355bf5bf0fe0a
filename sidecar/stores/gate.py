"""What is stored for one profile, and what it means to a replica: the same documents for all stores.

Instants are whole milliseconds of the store's clock. `scripts/_gate.lua` checks these shapes before anything is
decided by them, so a field added here is added there, with the same bounds.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Annotated, Literal, TypeAlias

import msgspec

from sidecar.core.failures import PartnerDetail
from sidecar.core.model import Seconds, Secret

REMEMBERED_IDS = 4
"""Refused and proven credentials kept: two pairs in rotation, twice."""

MAX_DOCUMENT_BYTES = 128 * 1024
"""One stored value; a longer one is not looked into. The largest of ours: 89 KB for two tokens of 16 KiB, 64 KB for a
gate of 1,000 permits and five pauses with all that a partner said."""
LONGEST_SPAN_MS = 24 * 3600 * 1000
"""A pause or a lease: nobody asks for more (`core.policy.MAX_RETRY_AFTER_S`)."""
MOST_STRIKES = 1_000_000
FENCE_AHEAD_MS = 5 * 10**13
"""How far a fence may be ahead of the clock, which may have been set back since by as much."""

Whole: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=10**14)]
"""Instants, fences and counts, as far as Lua prints them without loss."""
Span: TypeAlias = Annotated[float, msgspec.Meta(ge=0, lt=1e9)]
"""Seconds."""
Ascii: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[ -\x7f]*\Z")]

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
    nonce: Ascii
    fence: Whole
    from_ms: Whole
    until_ms: Whole


class StoredPause(msgspec.Struct):
    """A pause with its instants; `detail` is ASCII JSON of a `PartnerDetail`, or empty."""

    kind: Ascii
    from_ms: Whole
    until_ms: Whole
    strikes: Whole
    detail: Ascii = ""


class Gate(msgspec.Struct):
    """All that replicas agree on but the token; outlives it."""

    epoch: Ascii
    born_ms: Whole
    lost: bool = False
    fence: Whole = 0
    failed_nonce: Ascii = ""
    lease: Lease | None = None
    pause: StoredPause | None = None
    strikes: dict[Ascii, Whole] = {}
    refused: dict[Ascii, StoredPause] = {}
    proven: list[Ascii] = []
    grants_ms: list[Whole] = []
    demand_ms: list[Whole] = []
    rejected_id: Ascii = ""
    rejected_age_ms: Whole = 0
    confirmed_id: Ascii = ""
    refresh_dropped: Whole = 0
    learned_s: Span = 0
    evidence_s: Span = 0


class StoredToken(msgspec.Struct):
    """What lies beside the sealed text; `sealed` is empty where the asker knows the token."""

    fence: Whole
    id: Ascii
    issued_ms: Whole
    sealed: Secret = Secret("")


DamagedName: TypeAlias = Literal["gate", "token", "seal"]
"""As in `State.damaged`."""


class View(msgspec.Struct):
    """One operation's answer: what was decided, and what is stored after it."""

    now_ms: Whole
    outcome: OutcomeName
    left_ms: Whole = 0
    gate: Gate | None = None
    token: StoredToken | None = None
    damaged: list[DamagedName] = []


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
