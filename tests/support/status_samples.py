"""A status page with a profile in every state."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sidecar.core.errors import FailureKind, PartnerDetail
from sidecar.core.events import (
    CredentialsUnreadable,
    Event,
    LifetimeLearned,
    PartnerCalled,
    PauseStarted,
    ServiceStarted,
    StoreFailed,
    TokenChanged,
    TokenReported,
)
from sidecar.core.model import Lifetime, Operation
from sidecar.core.policy import Condition
from sidecar.telemetry.recent_events import RecentEvents
from sidecar.vending.api import LastFailure, Snapshot
from sidecar.web.admin.status_document import status
from sidecar.web.admin.status_page.page import page
from tests.support.admin_api import admin_api
from tests.support.fake_provider import NOW, FakeProvider, FixedClock
from tests.support.sink import ListSink
from tests.support.wire import serving

SLOW_DOWN = PartnerDetail(status=429, error_code="GW-7", error_message="slow down", session_id="s-81f3")
NO_TOKEN = {
    "ready": False,
    "condition": Condition.EXPIRED,
    "token_id": "",
    "left_s": 0,
    "issued_at": 0,
    "expires_at": 0,
}

GATEWAY: dict[str, Any] = {
    "listen": ["127.0.0.1:8282", "unix:/run/pay"],
    "callsUnderWay": 2,
    "requests": {"answered": 61, "unreachable": 3, "outcomeUnknown": 1, "notAllowed": 4, "otherErrors": 5},
    "signedBadRequests": {"upTo300Seconds": 6, "over300Seconds": 7},
}
"""The state of a gateway that had every outcome."""
_QUIET = {
    **GATEWAY,
    "requests": dict.fromkeys(GATEWAY["requests"], 0),
    "signedBadRequests": dict.fromkeys(GATEWAY["signedBadRequests"], 0),
}


def providers() -> dict[str, FakeProvider]:
    """Return token providers by their state, at 00:03:00 of a process that started at 00:00:00."""
    shown = {name: FakeProvider(name) for name in ("fresh", "cooling", "suspect", "empty", "rejected", "resting")}
    for provider in shown.values():
        provider.show(left_s=720)
    shown["fresh"].show(lease_owner="payments-5d9c-a1b2c3", lease_until=NOW + 192, learned_s=612)
    failed = LastFailure(kind=FailureKind.THROTTLED, at=NOW + 150, detail=SLOW_DOWN)
    paused = {"pause_kind": "throttled", "pause_until": NOW + 270, "cooldown_until": NOW + 270, "retry_at": NOW + 270}
    shown["cooling"].show(**paused, condition=Condition.STALE, last_failure=failed, budget_remaining=0)
    shown["suspect"].show(condition=Condition.SUSPECT, left_s=0, store_up=False, pause_kind="server-error")
    shown["empty"].show(**NO_TOKEN, **paused, why_not="partner-cooling-down", waiters=3, lifetime="", next_refresh_at=0)
    refused = {"why_not": "credentials-rejected", "credentials_valid": False, "retry_at": NOW + 300}
    shown["rejected"].show(**NO_TOKEN, **refused, lifetime="", next_refresh_at=0)
    shown["resting"].show(resting=True, next_refresh_at=0)
    return shown


def sample_events() -> Iterator[Event]:
    """Yield events of several kinds."""
    listen, admin_listen, profiles = ("127.0.0.1:8181",), ("0.0.0.0:9181",), tuple(providers())
    yield ServiceStarted(version="1.0", listen=listen, admin_listen=admin_listen, store="redis", profiles=profiles)
    change = {"token_id": "13acf09ea0c6d864", "fetched": True, "fence": 7, "lifetime": Lifetime.ASSUMED}
    yield TokenChanged(profile="fresh", issued_at=NOW, expires_at=NOW + 900, **change)  # type: ignore[arg-type]
    yield LifetimeLearned(profile="fresh", learned_s=612)
    yield from [StoreFailed(profile="suspect", operation="peek", cause="TimeoutError")] * 3
    call = {"operation": Operation.GRANT, "outcome": FailureKind.THROTTLED, "duration_s": 0.12, "detail": SLOW_DOWN}
    yield PartnerCalled(profile="cooling", **call)  # type: ignore[arg-type]
    yield PauseStarted(profile="cooling", kind=FailureKind.THROTTLED, pause_s=120, strikes=1)
    yield TokenReported(profile="suspect", token_id="13acf09ea0c6d864", verdict="later")
    yield CredentialsUnreadable(profile="rejected", problem="api-key is empty")


def shown(
    *snapshots: Snapshot,
    events: Sequence[Event] = (),
    draining: bool = False,
    **sources: Any,  # noqa: ANN401 - as of `status`
) -> str:
    recent = RecentEvents(FixedClock())
    for event in events:
        recent.emit(event)
    return page(status(snapshots, recent(), at=NOW + 180, version="1.2.3", draining=draining, **sources))


def words(text: str) -> str:
    """Return the text of the page in one line."""
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


@asynccontextmanager
async def status_samples() -> AsyncIterator[str]:
    """Serve the page, and yield its URL."""
    clock, shown = FixedClock(), providers()
    recent = RecentEvents(clock)
    for event in sample_events():
        clock.passed_s += 17
        recent.emit(event)
    clock.passed_s = 180
    api = admin_api(shown, recent_events=recent, wall=clock.wall, gateway={"fresh": GATEWAY, "resting": _QUIET}.get)
    async with serving(api, ListSink()) as address:
        yield f"http://127.0.0.1:{address.port}/status"
