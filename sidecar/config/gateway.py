"""The settings of the gateway; `sidecar.config.schema` has their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.config import parsers
from sidecar.config.settings import Replay, Setting, SignedRequests
from sidecar.core.model import Address

if TYPE_CHECKING:
    from sidecar.core.allow_list import AllowRule

LISTEN = Setting[tuple[Address, ...] | None](
    parsers.items(parsers.address),
    "",
    "listeners of the gateway, through which apps call the partner without any secret, in the form of SIDECAR_LISTEN; "
    "unset: no gateway",
    per_profile=True,
)
ALLOW: Setting[tuple[AllowRule, ...] | None] = Setting(
    parsers.items(parsers.allow_rule),
    "",
    "requests that the gateway forwards, comma separated: a method and a path, with * at its end for anything that "
    "follows, such as GET /api/pay1st/payments*; authentication paths are never forwarded",
    per_profile=True,
    default_note="the preset's list",
)
SIGN = Setting(
    parsers.one_of(writes=SignedRequests.WRITES, all=SignedRequests.ALL),
    "writes",
    "which forwarded requests are signed: writes (every method but GET and HEAD, and every request with a body) or all",
    per_profile=True,
)
REPLAY = Setting(
    parsers.one_of(safe=Replay.SAFE, all=Replay.ALL, off=Replay.OFF),
    "safe",
    "what the gateway sends again after a 401, once, with a new token and signature: safe (GET and HEAD), all or off",
    per_profile=True,
)
TIMEOUT_S = Setting(
    parsers.number(0.1, 3600),
    "30",
    "timeout of one forwarded call, from the connection to the end of the response",
    per_profile=True,
)
MAX_BODY_BYTES = Setting(
    parsers.whole(1, 1 << 26), "1048576", "maximum size of a forwarded request's body; 413 above it", per_profile=True
)
