"""The gateway of a profile, as facts of its section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from sidecar.web.admin.status_page.markup import Document

_OUTCOMES: Mapping[str, str] = MappingProxyType(
    {
        "answered": "answered",
        "unreachable": "partner unreachable",
        "outcomeUnknown": "outcome unknown",
        "notAllowed": "not allowed",
        "otherErrors": "other errors",
    }
)
_TOKEN_AGES: Mapping[str, str] = MappingProxyType(
    {"upTo300Seconds": "with a token up to 5 min old", "over300Seconds": "with an older token"}
)


def gateway_facts(gateway: Document) -> Iterator[tuple[str, str]]:
    under_way = gateway["callsUnderWay"]
    yield "Gateway", f"{', '.join(gateway['listen'])}, {under_way} {'call' if under_way == 1 else 'calls'} under way"
    yield "Gateway requests", _counted(gateway["requests"], _OUTCOMES)
    yield "Signed and refused (400)", _counted(gateway["signedBadRequests"], _TOKEN_AGES)


def _counted(counts: Mapping[str, int], words: Mapping[str, str]) -> str:
    """Return the counts above 0 in words, as in `3 answered, 1 not allowed`."""
    return ", ".join(f"{counts[name]} {told}" for name, told in words.items() if counts[name]) or "none"
