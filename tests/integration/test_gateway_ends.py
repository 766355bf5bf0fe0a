"""What arrives at the partner, and what is recorded, when there is no connection or token, or one side ends early."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sidecar.config.settings import Replay
from sidecar.core.errors import CoolingDownError
from tests.certificates import Authority
from tests.support import faulty_partner as play
from tests.support.fake_provider import vended
from tests.support.faulty_partner import says, when_told
from tests.support.gateway_bench import METHODS, WRITES, GatewayBench, open_bench
from tests.support.replica import until
from tests.support.stepped_loop import run
from tests.support.tokens_in_turn import TokensInTurn
from tests.support.wire import Reply

BODY = b'{"partnerReference": "order-1"}'
LARGE = BODY * 8_000
LONG = b"x" * 8_000_000
OLD, NEW = vended("old"), vended("new")
KINDS = tuple(itertools.product(METHODS, Replay))


def each(test: Callable[[str, bytes, Replay], Awaitable[None]]) -> None:
    """Run a test with every method and every setting of what is repeated."""

    async def every() -> None:
        for method, replay in KINDS:
            await test(method, BODY if method in WRITES else b"", replay)

    run(every())


def check_unsent(reply: Reply, bench: GatewayBench, method: str) -> None:
    assert (reply.status, reply.header("Sidecar-Answer"), reply.header("Sidecar-Attempts")) == (502, "sidecar", "0")
    assert method == "HEAD" or (reply.code, reply.json()["sent"]) == ("partner-unreachable", False)
    assert bench.audit[-1]["code"] == "partner-unreachable"
    assert bench.partner.arrivals == []


async def check_works(bench: GatewayBench, method: str = "POST", body: bytes = BODY) -> None:
    arrived = len(bench.partner.arrivals)
    bench.partner.plays = [says(201)]
    assert (await bench.ask(method, body)).status == 201
    assert len(bench.partner.arrivals) == arrived + 1
    await bench.ended()


def test_nothing_is_sent_to_a_partner_that_refuses_connections() -> None:
    async def one(method: str, body: bytes, replay: Replay) -> None:
        async with open_bench(says(201), replay=replay) as bench:
            await bench.partner.close()
            check_unsent(await bench.ask(method, body), bench, method)
            await bench.ended()
            await bench.partner.open()
            await check_works(bench, method, body)

    each(one)


def test_nothing_is_sent_to_a_partner_whose_certificate_is_not_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("partner")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    trusting = ssl.create_default_context(cafile=authority.certificate)

    async def one(method: str, body: bytes, replay: Replay) -> None:
        async with open_bench(says(201), replay=replay, tls=tls) as bench:
            check_unsent(await bench.ask(method, body), bench, method)
            await bench.ended()
            bench.trusts.append(trusting)
            await check_works(bench, method, body)

    each(one)


def test_a_connection_that_is_reset_at_once_repeats_no_write() -> None:
    async def one(method: str, body: bytes, replay: Replay) -> None:
        async with open_bench(says(201), replay=replay, resets_new=1) as bench:
            reply = await bench.ask(method, body)
            # The reset may come while the gateway still connects.
            assert reply.status in ((502, 504) if method in WRITES else (502, 201))
            assert len(bench.partner.arrivals) == (1 if reply.status == 201 else 0)
            await bench.ended()
            await check_works(bench, method, body)

    each(one)


def test_a_kept_connection_that_ends_just_before_the_request_repeats_no_write() -> None:
    async def one(method: str, body: bytes, replay: Replay) -> None:
        async with open_bench(says(201), replay=replay) as bench:
            assert (await bench.ask(method, body)).status == 201
            bench.provider.on_use = bench.partner.shut_kept_connections
            reply = await bench.ask(method, body)
            bench.provider.on_use = lambda: None
            # The request was written into a connection whose end was not seen yet.
            is_write = method in WRITES
            assert (reply.status, reply.header("Sidecar-Attempts")) == ((504, "1") if is_write else (201, "2"))
            assert len(bench.partner.arrivals) == (1 if is_write else 2)
            await bench.ended()
            await check_works(bench, method, body)

    each(one)


def test_nothing_is_sent_without_a_token() -> None:
    async def one(method: str, body: bytes, replay: Replay) -> None:
        cooling = CoolingDownError("later", retry_after_s=7)
        async with open_bench(says(201), replay=replay, provider=TokensInTurn(cooling)) as bench:
            reply = await bench.ask(method, body)
            assert (reply.status, reply.header("Retry-After"), reply.header("Sidecar-Attempts")) == (503, "7", "0")
            assert (reply.header("Sidecar-Answer"), reply.header("Token-Id")) == ("sidecar", None)
            assert bench.audit[-1]["code"] == "partner-cooling-down"
            await bench.ended()
            assert bench.partner.arrivals == []

    each(one)


def test_nothing_that_needs_a_signature_is_sent_without_a_key() -> None:
    async def one(method: str, body: bytes, replay: Replay) -> None:
        async with open_bench(says(201), replay=replay) as bench:
            bench.provider.signing_key = None
            reply = await bench.ask(method, body)
            await bench.ended()
            is_write = method in WRITES
            assert (reply.status, len(bench.partner.arrivals)) == ((404, 0) if is_write else (201, 1))
            assert bench.audit[-1]["code"] == ("signing-not-configured" if is_write else "2xx")

    each(one)


def test_a_suspect_token_is_used_and_marked() -> None:
    async def one(method: str, body: bytes, replay: Replay) -> None:
        async with open_bench(says(201), replay=replay, provider=TokensInTurn(vended(suspect=True))) as bench:
            reply = await bench.ask(method, body)
            assert (reply.status, reply.header("Token-Suspect")) == (201, "true")
            await bench.ended()
            assert bench.audit[-1]["suspect"] is True

    each(one)


def test_a_call_whose_app_leaves_before_it_was_sent_is_not_sent() -> None:
    async def one(method: str, body: bytes, replay: Replay) -> None:
        async with open_bench(says(201), replay=replay) as bench:
            bench.provider.free.clear()
            app = await bench.begin(method, body)
            await bench.provider.waiting.wait()
            await bench.leave(app)
            await bench.ended()
            bench.provider.free.set()
            assert (bench.audit[-1]["code"], bench.audit[-1]["complete"]) == ("disconnected", False)
            await check_works(bench, method, body)
            assert len(bench.partner.arrivals) == 1

    each(one)


async def test_a_call_whose_app_leaves_within_its_body_is_not_sent() -> None:
    async with open_bench(says(201)) as bench:
        reader, app = await asyncio.open_connection(bench.address.host, bench.address.port)
        app.write(bench.request("POST", LARGE, "Expect: 100-continue")[:-1])
        await reader.readuntil(b"100 Continue\r\n\r\n")
        await bench.leave(app)
        await bench.ended()
        assert (bench.audit[-1]["code"], bench.audit[-1]["complete"]) == ("disconnected", False)
        assert bench.partner.arrivals == []


@pytest.mark.parametrize(
    ("answer", "code", "status"),
    [
        (says(201), "2xx", 201),
        (says(500), "5xx", 500),
        (play.RESET_INSTEAD_OF_AN_ANSWER, "partner-outcome-unknown", 0),
    ],
    ids=["201", "500", "reset"],
)
def test_a_call_whose_app_leaves_after_it_was_sent_goes_on(answer: play.Play, code: str, status: int) -> None:
    async def one(method: str, body: bytes, replay: Replay) -> None:
        async with open_bench(when_told(answer), replay=replay) as bench:
            app = await bench.begin(method, body)
            await bench.partner.arrived(1)
            await bench.leave(app)
            bench.partner.goes_on.set()
            await bench.ended()
            line = bench.audit[-1]
            assert (line["code"], line["status"], line["complete"]) == (code, status, False)
            assert method not in WRITES or len(bench.partner.arrivals) == 1
            await check_works(bench, method, body)

    each(one)


def test_a_call_whose_app_closes_its_side_while_a_token_is_awaited_is_not_sent() -> None:
    """An app that gives up closes its connection, which looks like the end of its requests at first."""

    async def one(method: str, body: bytes, replay: Replay) -> None:
        async with open_bench(says(201), replay=replay) as bench:
            bench.provider.free.clear()
            app = await bench.begin(method, body)
            await bench.provider.waiting.wait()
            app.write_eof()
            await until(bench.sees_a_half_closed_app)
            bench.provider.free.set()
            await bench.ended()
            app.close()
            assert (bench.audit[-1]["code"], bench.audit[-1]["complete"]) == ("disconnected", False)
            assert bench.partner.arrivals == []

    each(one)


def test_a_call_whose_app_closes_its_side_is_sent_with_a_token_at_hand() -> None:
    async def one(method: str, body: bytes, replay: Replay) -> None:
        async with open_bench(when_told(says(201)), replay=replay) as bench:
            app = await bench.begin(method, body)
            app.write_eof()
            await bench.partner.arrived(1)
            bench.partner.goes_on.set()
            await bench.ended()
            app.close()
            assert (bench.audit[-1]["code"], bench.audit[-1]["complete"]) == ("2xx", False)

    each(one)
