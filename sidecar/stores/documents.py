"""The documents stored for one profile, the same for all stores, and their limits.

Instants are whole milliseconds of the store's clock. `lua/_gate.lua` checks and repairs the same shapes before any
decision uses them, so a field or bound that is changed here must be changed there. Another writer to the store may have
planted a value, or a clock was set: then a fleet must recover without an operator who removes the key.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Literal, TypeAlias

import msgspec

from sidecar.core.errors import PartnerDetail
from sidecar.core.model import Seconds, Secret

REMEMBERED_IDS = 4
"""Blocked and proven credentials kept, each: two credentials in rotation, twice."""
MOST_GRANTS = 1000
"""Permits in one window: the most that `SIDECAR_CALL_BUDGET` may allow."""
MOST_KINDS = 32
"""Kinds of failures, those of later versions included."""
LONGEST_ID = 300
"""Characters of an id, a nonce or a kind: a host name of 253 is part of a nonce."""
LONGEST_DETAIL = 8192
"""Characters of a partner's detail as JSON: three texts of 200, each character escaped as twelve."""

MAX_DOCUMENT_BYTES = 160 * 1024
"""Of one stored value; a longer one is not decoded. The largest values written: 89 KB for two tokens of 16 KiB, 100 KB
for a coordination document of 1,000 permits and five pauses with the longest partner details."""
LONGEST_SPAN_MS = 24 * 3600 * 1000
"""Of a pause or a lease: no replica writes a longer one (`core.policy.MAX_RETRY_AFTER_S`)."""
MOST_FAILURES = 1_000_000
FENCE_AHEAD_MS = 5 * 10**13
"""Largest lead of a fence over the clock, which may have been set back since by as much."""

Whole: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=10**14)]
"""Instants, fences and counts, in the range that Lua prints without loss."""
Span: TypeAlias = Annotated[float, msgspec.Meta(ge=0, lt=1e9)]
"""Seconds."""
Id: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[ -\x7f]*\Z", max_length=LONGEST_ID)]
DetailText: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[ -\x7f]*\Z", max_length=LONGEST_DETAIL)]
"""ASCII JSON of a `PartnerDetail`, or empty."""

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
    nonce: Id
    fence: Whole
    from_ms: Whole
    until_ms: Whole


class StoredPause(msgspec.Struct):
    """A pause with its instants, and the fence at which it was recorded."""

    kind: Id
    fence: Whole
    from_ms: Whole
    until_ms: Whole
    consecutive_failures: Whole = msgspec.field(name="strikes")
    detail: DetailText = ""


class StoredCount(msgspec.Struct):
    """As `FailureCount`."""

    count: Whole
    fence: Whole


class StoredGrant(msgspec.Struct, omit_defaults=True):
    """One permit of the budget, by the fence of its lease."""

    fence: Whole
    at_ms: Whole
    caller_requested: bool = msgspec.field(default=False, name="on_demand")


class StoredReport(msgspec.Struct):
    """As `Reported`."""

    id: Id
    fence: Whole
    age_ms: Whole


class StoredConfirmation(msgspec.Struct):
    """As `Confirmed`."""

    id: Id
    fence: Whole


class StoredLearnedLifetime(msgspec.Struct):
    """As `LearnedLifetime`."""

    fence: Whole = 0
    learned_s: Span = 0
    first_report_age_s: Span = msgspec.field(default=0, name="evidence_s")


class Coordination(msgspec.Struct):
    """All that replicas agree on except the token; it outlives the token. Facts that can be superseded have a fence."""

    epoch: Id
    born_ms: Whole
    lost: bool = False
    fence: Whole = 0
    failed_nonce: Id = ""
    lease: Lease | None = None
    pause: StoredPause | None = None
    failure_counts: Annotated[dict[Id, StoredCount], msgspec.Meta(max_length=MOST_KINDS)] = msgspec.field(
        default_factory=dict, name="strikes"
    )
    credential_blocks: Annotated[dict[Id, StoredPause], msgspec.Meta(max_length=REMEMBERED_IDS)] = msgspec.field(
        default_factory=dict, name="refused"
    )
    proven: Annotated[dict[Id, Whole], msgspec.Meta(max_length=REMEMBERED_IDS)] = {}
    grants: Annotated[list[StoredGrant], msgspec.Meta(max_length=MOST_GRANTS)] = []
    reported: StoredReport | None = None
    confirmed: StoredConfirmation | None = None
    refresh_dropped: Whole = 0
    learned: StoredLearnedLifetime = msgspec.field(default_factory=StoredLearnedLifetime, name="lesson")


class StoredToken(msgspec.Struct):
    """The sealed text, empty if the replica already has the token, and beside it the token's fence and id.

    No field beside the seal has the token's age: anyone with write access to the store could falsify it.
    """

    fence: Whole
    id: Id
    sealed: Secret = Secret("")


DamagedName: TypeAlias = Literal["gate", "token", "seal"]
"""As in `State.damaged`."""


class StoreReply(msgspec.Struct):
    """One operation's reply: its decision, and what is stored after it."""

    now_ms: Whole
    outcome: OutcomeName
    left_ms: Whole = 0
    gate: Coordination | None = None
    token: StoredToken | None = None
    damaged: Annotated[list[DamagedName], msgspec.Meta(max_length=3)] = []


def left_ms(span: Lease | StoredPause | None, now_ms: int) -> int:
    return max(0, span.until_ms - now_ms) if span else 0


def ms(span_s: Seconds) -> int:
    """Whole milliseconds, rounded up: a pause and a token's age are never made shorter."""
    return math.ceil(span_s * 1000)


def detail_text(detail: PartnerDetail | None) -> str:
    """Return ASCII JSON, so that scripts can distinguish text from damage without Unicode; empty for None."""
    return "" if detail is None else json.dumps(asdict(detail))


def is_credible(found: Coordination | StoredToken, now_ms: int) -> bool:
    """Return whether its fences are in range: after a larger one, the next fences would soon exceed all bounds."""
    return max(_fences(found)) < now_ms + FENCE_AHEAD_MS


def _fences(found: Coordination | StoredToken) -> Iterator[int]:
    yield found.fence
    if isinstance(found, Coordination):
        facts = (found.lease, found.pause, found.reported, found.confirmed, found.learned)
        yield from (fact.fence for fact in facts if fact is not None)
        for group in (found.failure_counts.values(), found.credential_blocks.values(), found.grants):
            yield from (fact.fence for fact in group)
        yield from found.proven.values()


def sanitize(gate: Coordination, now_ms: int) -> None:
    """Repair the document: no start is in the future, no span exceeds a day, no count exceeds `MOST_FAILURES`."""
    gate.born_ms = min(gate.born_ms, now_ms)
    for grant in gate.grants:
        grant.at_ms = min(grant.at_ms, now_ms)
    for failures in gate.failure_counts.values():
        failures.count = min(failures.count, MOST_FAILURES)
    for span in (gate.lease, gate.pause, *gate.credential_blocks.values()):
        if span is not None:
            _sanitize_span(span, now_ms)


def _sanitize_span(span: Lease | StoredPause, now_ms: int) -> None:
    if span.from_ms > now_ms:
        span.from_ms, span.until_ms = now_ms, now_ms + span.until_ms - span.from_ms
    span.until_ms = min(span.until_ms, span.from_ms + LONGEST_SPAN_MS)
    if isinstance(span, StoredPause):
        span.consecutive_failures = min(span.consecutive_failures, MOST_FAILURES)
