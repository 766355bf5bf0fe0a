"""What arrives at the partner, and what is recorded, when the sidecar ends or an app leaves in the middle of a call."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.config.settings import Replay
from sidecar.core.events import InternalFailure
from sidecar.gateway import forwarder, handler
from sidecar.gateway.handler import TOTAL_BODY_BYTES
from tests.support import faulty_partner as play
from tests.support.fake_provider import vended
from tests.support.faulty_partner import says, when_told
from tests.support.gateway_bench import METHODS, WRITES, open_bench
from tests.support.replica import HANG_S, until
from tests.support.stepped_loop import run
from tests.support.tokens_in_turn import TokensInTurn

BODY = b'{"partnerReference": "order-1"}'
LONG = b"x" * 16_000_000
"""More than the buffers of all sockets and streams on the way."""
OLD, NEW = vended("old"), vended("new")


async def test_an_app_that_leaves_within_a_long_response_ends_it() -> None:
    async with open_bench(says(200, LONG)) as bench:
        app = await bench.begin("GET")
        await bench.partner.arrived(1)
        await until(lambda: bench.forwarder._passing_on == 1)
        await bench.leave(app)
        await bench.ended()
        assert [(line["code"], line["status"], line["complete"]) for line in bench.audit] == [("2xx", 200, False)]


def test_an_app_that_leaves_while_a_new_token_is_awaited_has_nothing_sent_again() -> None:
    async def one() -> None:
        for method in METHODS:
            async with open_bench(
                says(401, LONG), says(201), replay=Replay.ALL, provider=TokensInTurn(OLD, NEW)
            ) as bench:
                taken = bench.provider.free.clear
                bench.provider.on_use = taken
                app = await bench.begin(method, BODY if method in WRITES else b"")
                await bench.provider.waiting.wait()
                await bench.leave(app)
                await bench.ended()
                bench.provider.free.set()
                assert len(bench.partner.arrivals) == 1
                (line,) = bench.audit
                assert (line["code"], line["attempts"], line["complete"]) == ("disconnected", 1, False)

    run(one())


@pytest.mark.parametrize("method", METHODS)
async def test_a_sidecar_that_ends_before_a_call_was_sent_sends_nothing(method: str) -> None:
    async with open_bench(says(201)) as bench:
        bench.provider.free.clear()
        asking = asyncio.create_task(bench.ask(method, BODY if method in WRITES else b""))
        await bench.provider.waiting.wait()
        await bench.forwarder.close(0)
        reply = await asking
        bench.provider.free.set()
        await bench.ended()
        assert (reply.status, reply.header("Sidecar-Attempts"), bench.partner.arrivals) == (502, "0", [])
        assert bench.audit[-1]["code"] == "partner-unreachable"


@pytest.mark.parametrize("method", METHODS)
async def test_a_sidecar_that_ends_after_a_call_was_sent_says_that_its_outcome_is_unknown(method: str) -> None:
    async with open_bench(play.HANGS) as bench:
        asking = asyncio.create_task(bench.ask(method, BODY if method in WRITES else b""))
        await bench.partner.arrived(1)
        await bench.forwarder.close(0)
        reply = await asking
        await bench.ended()
        assert (reply.status, reply.header("Sidecar-Attempts"), len(bench.partner.arrivals)) == (504, "1", 1)
        assert method == "HEAD" or (reply.code, reply.json()["sent"]) == ("partner-outcome-unknown", True)


async def test_a_sidecar_that_ends_waits_for_the_response_of_a_call() -> None:
    async with open_bench(when_told(says(201))) as bench:
        asking = asyncio.create_task(bench.ask("POST", BODY))
        await bench.partner.arrived(1)
        ending = asyncio.create_task(bench.forwarder.close(HANG_S))
        bench.partner.goes_on.set()
        await ending
        assert (await asking).status == 201
        await bench.ended()


async def test_a_sidecar_that_ends_records_the_calls_of_apps_that_have_left() -> None:
    async with open_bench(play.HANGS) as bench:
        app = await bench.begin("POST", BODY)
        await bench.partner.arrived(1)
        await bench.leave(app)
        await bench.forwarder.close(0)
        assert [(line["code"], line["complete"]) for line in bench.audit] == [("partner-outcome-unknown", False)]
        await bench.ended()


async def test_a_sidecar_that_has_ended_sends_no_further_call() -> None:
    async with open_bench(says(201)) as bench:
        await bench.forwarder.close(0)
        reply = await bench.ask("POST", BODY)
        await bench.ended()
        assert (reply.status, reply.json()["sent"], bench.partner.arrivals) == (502, False, [])


async def test_more_calls_than_may_be_under_way_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, "MAX_CALLS", 2)
    async with open_bench(when_told(says(201))) as bench:
        asking = [asyncio.create_task(bench.ask("POST", BODY)) for _ in range(2)]
        await bench.partner.arrived(2)
        reply = await bench.ask("POST", BODY)
        assert (reply.status, reply.code, reply.header("Retry-After")) == (503, "overloaded", "1")
        assert (reply.header("Sidecar-Answer"), reply.header("Sidecar-Attempts")) == ("sidecar", "0")
        bench.partner.goes_on.set()
        assert [(await one).status for one in asking] == [201, 201]
        assert (await bench.ask("POST", BODY)).status == 201
        await bench.ended()
        assert len(bench.partner.arrivals) == 3


async def test_large_bodies_that_find_no_memory_are_refused_and_small_ones_are_not() -> None:
    large = BODY * 8_000
    async with open_bench(when_told(says(201))) as bench:
        bench.gateway._memory._free_bytes = len(large)
        first = asyncio.create_task(bench.ask("POST", large))
        await bench.partner.arrived(1)
        reply = await bench.ask("POST", large)
        assert (reply.status, reply.code, reply.header("Retry-After")) == (503, "overloaded", "1")
        small = asyncio.create_task(bench.ask("POST", BODY))
        await bench.partner.arrived(2)
        bench.partner.goes_on.set()
        assert [(await first).status, (await small).status] == [201, 201]
        assert (await bench.ask("POST", large)).status == 201
        assert bench.gateway._memory._free_bytes == len(large)
        bench.gateway._memory._free_bytes = TOTAL_BODY_BYTES
        await bench.ended()
        assert len(bench.partner.arrivals) == 3


async def test_an_error_of_ours_is_recorded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_headers: object) -> None:
        raise RuntimeError

    async with open_bench(says(201)) as bench:
        monkeypatch.setattr(handler, "for_app", broken)
        assert (await bench.ask("POST", BODY)).code == "internal-error"
        assert [(line["code"], line["complete"]) for line in bench.audit] == [("internal-error", False)]
        assert len(bench.sink.of(InternalFailure)) == 1
