"""The vending listener on a real socket, in front of token providers that a test controls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sidecar.core.listener_limits import Limits
from sidecar.core.model import Address
from sidecar.core.partner_table import TokenHeader
from sidecar.core.process_events import Audited, RequestServed
from sidecar.partner.presets import PRESETS
from sidecar.vending.signer import Signer
from sidecar.web.api.app import TokenApi
from sidecar.web.api.guards import Guards, GuardSettings
from tests.support.fake_provider import FakeProvider, FixedClock
from tests.support.sink import ListSink
from tests.support.wire import LOOPBACK, Reply, ask, serving


@dataclass
class VendingService:
    """Two profiles, `default` and `other`, whose partners expect the token in different headers."""

    address: Address
    provider: FakeProvider
    other: FakeProvider
    sink: ListSink
    audit: ListSink

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return await ask(self.address, path, headers=headers)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        return await ask(self.address, path, method="POST", body=body, headers=headers)

    @property
    def served(self) -> list[tuple[str, str, str]]:
        """(profile, endpoint, code) of each request that was counted."""
        return [(event.profile, event.endpoint, event.code) for event in self.sink.of(RequestServed)]

    @property
    def audited(self) -> list[tuple[str, str, str, str]]:
        """(profile, endpoint, token id, outcome) of each token in a response and each report."""
        events = self.audit.of(Audited)
        return [(event.profile, event.endpoint, event.token_id, event.outcome) for event in events]


@asynccontextmanager
async def vending_service(
    settings: GuardSettings | None = None,
    at: Address = LOOPBACK,
    limits: Limits | None = None,
    sign_max_bytes: int = 1 << 20,
    other_header: TokenHeader | None = None,
) -> AsyncIterator[VendingService]:
    provider, other, sink, audit = FakeProvider(), FakeProvider("other"), ListSink(), ListSink()
    headers = {"default": TokenHeader("AccessToken"), "other": other_header or TokenHeader("X-Other")}
    guards = Guards(settings or GuardSettings())
    clock, recipe = FixedClock(), PRESETS["pay1st"].sign
    assert recipe is not None
    signers = {one.profile.name: Signer(recipe, one, clock, sink) for one in (provider, other)}
    api = TokenApi(
        {"default": provider, "other": other},
        guards,
        sink,
        clock,
        headers,
        signers=signers,
        sign_max_bytes=sign_max_bytes,
        audit=audit,
    )
    async with serving(api, sink, at, limits) as address:
        yield VendingService(address, provider, other, sink, audit)
