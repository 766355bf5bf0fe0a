"""The corpus: raw conversations in families, each by name. `test_raw_requests.py` plays them all."""

from __future__ import annotations

from collections.abc import Mapping

from tests.integration.raw_requests.absolute_form import ABSOLUTE_FORM
from tests.integration.raw_requests.conversation import Family
from tests.integration.raw_requests.empty_lines import EMPTY_LINES
from tests.integration.raw_requests.half_closed import HALF_CLOSED
from tests.integration.raw_requests.half_sent import HALF_SENT
from tests.integration.raw_requests.other_protocols import OTHER_PROTOCOLS
from tests.integration.raw_requests.pipelining import PIPELINING
from tests.integration.raw_requests.trailers import TRAILERS
from tests.integration.raw_requests.upgrades import UPGRADES

FAMILIES: Mapping[str, Family] = {
    "trailers": TRAILERS,
    "upgrades": UPGRADES,
    "half-closed": HALF_CLOSED,
    "half-sent": HALF_SENT,
    "absolute form": ABSOLUTE_FORM,
    "other protocols": OTHER_PROTOCOLS,
    "empty lines": EMPTY_LINES,
    "pipelining": PIPELINING,
}
