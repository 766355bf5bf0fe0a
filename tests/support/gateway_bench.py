"""A gateway behind its listener, in front of a partner that fails as a test says. Time moves when the test moves it."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.config.settings import Replay, SignedRequests
from sidecar.core.allow_list import AllowList, read_rule
from sidecar.core.events import Event, InternalFailure
from sidecar.core.listener_limits import Limits
from sidecar.core.model import Address
from sidecar.core.ports import EventSink
from sidecar.core.process_events import GatewayCalled, OutcomeUnknown
from sidecar.gateway.forwarder import Forwarder
from sidecar.gateway.handler import MARKS, TOTAL_BODY_BYTES, Gateway
from sidecar.gateway.sender import Sender, open_gateway_session
from sidecar.partner.presets import PRESETS
from sidecar.telemetry.gateway import GatewayAudit, GatewayMetrics
from sidecar.telemetry.redaction import Redactor
from sidecar.vending.signer import Signer
from sidecar.web.api.guards import Guards, GuardSettings
from sidecar.web.server.listener import HttpServer, Listener
from tests.support.fake_provider import FixedClock
from tests.support.faulty_partner import FaultyPartner, Play, reset
from tests.support.replica import HANG_S, PATIENT_S, until
from tests.support.sink import ListSink
from tests.support.stepped_loop import pass_time
from tests.support.tokens_in_turn import TokensInTurn
from tests.support.wire import LOOPBACK, Reply, exchange

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
WRITES = METHODS[2:]
TARGET = "/api/pay1st/payments/create"
TIMEOUT_S = PATIENT_S
"""Of a call. It passes only when a test lets it pass."""
MAX_BODY_BYTES = 1 << 20
AUDITED = {
    "timestamp", "level", "event", "profile", "endpoint", "method", "path", "caller", "code", "status", "attempts",
    "complete", "suspect", "signed", "token_age_s", "duration_s",
}  # fmt: skip
"""The fields of each audit line. Calls with a token have `token_id` as well."""


@dataclass
class GatewayBench:
    address: Address
    partner: FaultyPartner
    provider: TokensInTurn
    forwarder: Forwarder
    gateway: Gateway
    session: aiohttp.ClientSession
    sink: ListSink
    lines: io.StringIO
    registry: CollectorRegistry
    listener: Listener
    trusts: list[object]
    """The last one is the value for aiohttp's `ssl`."""
    calls: int = 0
    """How many calls of apps have been made."""

    def request(self, method: str, body: bytes = b"", *fields: str, target: str = TARGET, keeps: bool = False) -> bytes:
        """Return the bytes of one correct request."""
        self.calls += 1
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Sidecar-Request: true", *fields]
        lines += [] if keeps else ["Connection: close"]
        lines += [f"Content-Length: {len(body)}"] if body else []
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

    async def ask(self, method: str, body: bytes = b"", *fields: str, target: str = TARGET) -> Reply:
        """Make a call, and read until the connection ends."""
        return await exchange(self.address, self.request(method, body, *fields, target=target))

    async def begin(self, method: str, body: bytes = b"", *fields: str) -> asyncio.StreamWriter:
        """Send a request. The app leaves by `leave`."""
        _, writer = await asyncio.open_connection(self.address.host, self.address.port)
        writer.write(self.request(method, body, *fields))
        await writer.drain()
        return writer

    async def leave(self, app: asyncio.StreamWriter) -> None:
        """Reset the app's connection, and wait until the gateway has seen it."""
        reset(app)
        await until(lambda: self.listener.connections == 0)

    def sees_a_half_closed_app(self) -> bool:
        queues = self.listener._http.registry._queues.values()
        return any(connection.is_half_closed for queue in queues for connection in queue)  # type: ignore[attr-defined]

    async def let_time_out(self) -> None:
        """Let the time of the calls under way pass, once the partner is silent."""
        await self.partner.silent.wait()
        self.partner.silent.clear()
        pass_time(TIMEOUT_S + 1)

    @property
    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]

    async def ended(self) -> None:
        """Wait until each call has its record, and check that every one has exactly one, whole, and nothing is held."""
        await until(lambda: len(self.sink.of(GatewayCalled)) >= self.calls and not self.session.connector._acquired)  # type: ignore[union-attr]
        assert len(self.audit) == len(self.sink.of(GatewayCalled)) == self.calls
        for line in self.audit:
            assert line.keys() - {"token_id", "caller"} == AUDITED - {"caller"}
        samples = {
            (sample.name, sample.labels.get("code", "")): sample.value
            for family in text_string_to_metric_families(generate_latest(self.registry).decode())
            for sample in family.samples
            if sample.value and not sample.name.endswith(("_created", "_bucket", "_sum"))
        }
        counted = sum(value for (name, _), value in samples.items() if name == "token_sidecar_gateway_requests_total")
        assert counted == samples["token_sidecar_gateway_request_duration_seconds_count", ""] == self.calls
        unknown = sum(line["code"] == "partner-outcome-unknown" for line in self.audit)
        assert len(self.sink.of(OutcomeUnknown)) == unknown
        assert self.sink.of(InternalFailure) == []
        await until(lambda: self.forwarder.calls == 0)
        assert self.gateway._memory._free_bytes == TOTAL_BODY_BYTES


class _Sinks:
    def __init__(self, *sinks: EventSink) -> None:
        self.sinks = sinks

    def emit(self, event: Event) -> None:
        for sink in self.sinks:
            sink.emit(event)


@asynccontextmanager
async def open_bench(
    *plays: Play,
    provider: TokensInTurn | None = None,
    replay: Replay = Replay.SAFE,
    sign: SignedRequests = SignedRequests.WRITES,
    tls: ssl.SSLContext | None = None,
    resets_new: int = 0,
    guards: GuardSettings | None = None,
) -> AsyncIterator[GatewayBench]:
    """Check at the end that no task and no generator is left."""
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    partner = FaultyPartner(plays, tls=tls, resets_new=resets_new)
    await partner.open()
    provider, clock, recorded, lines, registry = (
        provider or TokensInTurn(),
        FixedClock(),
        ListSink(),
        io.StringIO(),
        CollectorRegistry(),
    )
    sink = _Sinks(recorded, GatewayMetrics(registry, ["default"]))
    session = open_gateway_session()

    trusts: list[object] = [True]

    async def certificates() -> object:
        return trusts[-1]

    preset = PRESETS["pay1st"]
    recipe = preset.sign
    assert recipe is not None
    sender = Sender(
        base_url=f"{'https' if tls else 'http'}://127.0.0.1:{partner.port}",
        token_header=preset.header,
        signer=Signer(recipe, provider, clock, recorded),
        sign=sign,
        session=session,
        certificates=certificates,
        measure=provider.partner_clock.measure,
        clock=clock,
    )
    forwarder = Forwarder(provider, sender, replay, TIMEOUT_S)
    gateway = Gateway(
        profile="default",
        guards=Guards(guards or GuardSettings()),
        allow=AllowList([read_rule(f"{method} /api/pay1st/*") for method in METHODS], [preset.authentication_path]),
        forwarder=forwarder,
        max_body_bytes=MAX_BODY_BYTES,
        clock=clock,
        sink=sink,
        audit=GatewayAudit("json", lines.write, Redactor(), clock),
    )
    listener = Listener(HttpServer(gateway, recorded, "gateway", Limits(), marks=MARKS))
    await listener.start([LOOPBACK])
    try:
        yield GatewayBench(
            address=listener.bound[0],
            partner=partner,
            provider=provider,
            forwarder=forwarder,
            gateway=gateway,
            session=session,
            sink=recorded,
            lines=lines,
            registry=registry,
            listener=listener,
            trusts=trusts,
        )
    finally:
        await forwarder.close(0)
        await listener.stop(0.1)
        await session.close()
        await partner.close()
    await _check_nothing_is_left(loop, before)


async def _check_nothing_is_left(loop: asyncio.AbstractEventLoop, before: set[asyncio.Task[Any]]) -> None:
    left = asyncio.all_tasks() - before
    if left:
        await asyncio.wait(left, timeout=HANG_S)
    assert [task for task in left if not task.done()] == []
    bodies = [one for one in loop._asyncgens if one.ag_code.co_name == "_rest"]  # type: ignore[attr-defined]
    assert [one for one in bodies if one.ag_frame is not None] == []
