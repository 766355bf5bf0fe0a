"""The corpus of the gateway: single requests in families, each by name, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping

from tests.integration.gateway_requests.cases import Family
from tests.integration.gateway_requests.framing import FRAMING
from tests.integration.gateway_requests.headers import HEADERS
from tests.integration.gateway_requests.targets import TARGETS

FAMILIES: Mapping[str, Family] = {"framing": FRAMING, "targets": TARGETS, "headers": HEADERS}
