"""A write reaches the partner at most once, whatever fails, and the app learns whether it may have arrived.

Every fault, with every method and every setting of `SIDECAR_GATEWAY_REPLAY`. What has to follow is computed from the
table in docs/gateway.md, by `expected`.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import pytest

from sidecar.config.settings import Replay
from sidecar.core.errors import StartingError
from sidecar.vending.api import VendedToken
from tests.support import faulty_partner as play
from tests.support.fake_provider import vended
from tests.support.faulty_partner import Play, says, sends
from tests.support.gateway_bench import METHODS, WRITES, GatewayBench, open_bench
from tests.support.stepped_loop import run
from tests.support.tokens_in_turn import TokensInTurn
from tests.support.wire import Reply

BODY = b'{"partnerReference": "order-1"}'
LARGE = BODY * 8_000
LONG = b"x" * 200_000
CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
OLD, NEW = vended("old"), vended("new")
STATUSES = (*range(300, 309), *range(400, 432), 451, *range(500, 512), 599)

Result: TypeAlias = int | Literal["lost", "unknown", "short", "torn", "broken", "broken 401"]
"""What a play is to the gateway: a status, the end of the connection, something that is no response, or a 201 (401)
whose body breaks: `short`, `torn` (perhaps in the packet of the head), or after its head has passed."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The last play stays, and so does its result."""

    plays: tuple[Play, ...]
    results: tuple[Result, ...]
    tokens: tuple[VendedToken | Exception, ...] = (OLD, NEW)
    body: bytes = BODY


def fault(played: Play, *results: Result, body: bytes = BODY) -> Fault:
    return Fault(plays=(played,), results=results, body=body)


def after_401(
    *played: Play, results: tuple[Result, ...], tokens: tuple[VendedToken | Exception, ...] = (OLD, NEW)
) -> Fault:
    return Fault(plays=(says(401, b"no"), *played), results=(401, *results), tokens=tokens)


FAULTS: dict[str, Fault] = {
    "no fault": fault(says(201), 201),
    "a long response": fault(says(200, LONG), 200),
    "a large request": fault(says(201), 201, body=LARGE),
    "reset at the first byte": fault(play.RESET_AT_THE_FIRST_BYTE, "lost"),
    "reset after the head": fault(play.RESET_AFTER_THE_HEAD, "lost"),
    "reset in the body": fault(play.RESET_IN_THE_BODY, "lost"),
    "reset in a large body": fault(play.RESET_IN_THE_BODY, "lost", body=LARGE),
    "reset instead of an answer": fault(play.RESET_INSTEAD_OF_AN_ANSWER, "lost"),
    "closed instead of an answer": fault(play.CLOSED_INSTEAD_OF_AN_ANSWER, "lost"),
    "half a head, then closed": fault(sends(b"HTTP/1.1 201 Crea"), "lost"),
    "closed once": Fault(plays=(play.CLOSED_INSTEAD_OF_AN_ANSWER, says(201)), results=("lost", 201)),
    "hangs": fault(play.HANGS, "unknown"),
    "hangs in a large body": fault(play.HANGS_IN_THE_BODY, "unknown", body=LARGE),
    "half a head, then hangs": fault(sends(b"HTTP/1.1 201 Crea", "hang"), "unknown"),
    "hangs in a short answer": fault(says(201, cut=1, then="hang"), "short"),
    "hangs in a long answer": fault(says(201, LONG, cut=1, then="hang"), "broken"),
    "hangs in chunks": fault(sends(CHUNKED, "hang", of_body=b"2\r\n{}\r\n"), "broken"),
    "a short answer ends early": fault(says(201, cut=1, then="close"), "short"),
    "a long answer ends early": fault(says(201, LONG, cut=1, then="close"), "broken"),
    "chunks end early": fault(sends(CHUNKED, of_body=b"2\r\n{}\r\n"), "torn"),
    "broken chunks": fault(sends(CHUNKED, of_body=b"ZZ\r\n"), "torn"),
    "no HTTP": fault(sends(b"220 mail.example ESMTP\r\n"), "unknown"),
    "another protocol": fault(sends(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "unknown"),
    "a header without a colon": fault(sends(b"HTTP/1.1 201 C\r\nno colon\r\n\r\n"), "unknown"),
    "a header with NUL": fault(sends(b"HTTP/1.1 201 C\r\nContent-Length: 0\r\nX: a\0b\r\n\r\n"), "unknown"),
    "two lengths": fault(sends(b"HTTP/1.1 201 C\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), "unknown"),
    "a length below 0": fault(sends(b"HTTP/1.1 201 C\r\nContent-Length: -1\r\n\r\n"), "unknown"),
    "an endless header": fault(sends(b"HTTP/1.1 201 C\r\nX: " + LONG), "unknown"),
    "401 once": after_401(says(201), results=(201,)),
    "401 for ever": after_401(results=()),
    "401 with a broken body": fault(says(401, LONG, cut=1, then="close"), "broken 401"),
    "401, then reset": after_401(play.RESET_INSTEAD_OF_AN_ANSWER, results=("lost",)),
    "401, then hangs": after_401(play.HANGS, results=("unknown",)),
    "401, then 500": after_401(says(500), results=(500,)),
    "401, and the token stays": after_401(says(201), results=(201,), tokens=(OLD,)),
    "401, and no token": after_401(says(201), results=(201,), tokens=(OLD, StartingError("no", retry_after_s=9))),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Expected:
    """`status` and `code` are those of the audit line; `sent` is None where the partner's response passes."""

    attempts: int
    status: int = 0
    code: str
    sent: bool | None = None
    token: VendedToken = OLD
    replaced: bool = False
    complete: bool = True


def expected(case: Fault, method: str, replay: Replay) -> Expected:
    """Compute what has to follow from the documents, request by request."""
    is_read = method in ("GET", "HEAD")
    replays = replay is Replay.ALL or (replay is Replay.SAFE and is_read)
    repeats, token = is_read, OLD
    for attempts in itertools.count(1):
        result = case.results[min(attempts, len(case.results)) - 1]
        if result == "lost" and repeats:
            repeats = False
        elif result in ("lost", "unknown") or (result == "short" and method != "HEAD"):
            return Expected(attempts=attempts, code="partner-outcome-unknown", sent=True, token=token)
        else:
            status = result if isinstance(result, int) else 401 if result == "broken 401" else 201
            replaced = status == 401 and token is OLD and NEW in case.tokens
            if not (replaced and replays):
                complete = isinstance(result, int) or method == "HEAD"
                return Expected(
                    attempts=attempts, status=status, code=f"{status // 100}xx", token=token, replaced=replaced,
                    complete=complete,
                )  # fmt: skip
            replays, repeats, token = False, is_read, NEW
    raise AssertionError


def check(reply: Reply, bench: GatewayBench, wanted: Expected) -> None:
    """Check the response and the audit line."""
    assert reply.header("Sidecar-Attempts") == str(wanted.attempts)
    assert reply.header("Token-Id") == wanted.token.token.token_id
    assert reply.header("Sidecar-Token") == ("replaced" if wanted.replaced else None)
    assert reply.header("Sidecar-Answer") == ("partner" if wanted.sent is None else "sidecar")
    if wanted.sent is None:
        assert reply.status == wanted.status
    else:
        assert reply.status == (504 if wanted.sent else 502)
        if reply.body:
            assert (reply.code, reply.json()["sent"]) == (wanted.code, wanted.sent)
    line = bench.audit[-1]
    assert (line["code"], line["status"], line["attempts"]) == (wanted.code, wanted.status, wanted.attempts)
    assert line["complete"] is wanted.complete
    assert line["token_id"] == wanted.token.token.token_id


def check_arrivals(bench: GatewayBench, method: str, body: bytes, replay: Replay, *, refuses: bool) -> None:
    """Check that a write arrived at most once, or twice if it was answered 401 and may be repeated."""
    arrivals = bench.partner.arrivals
    if method in WRITES:
        assert len(arrivals) <= (2 if refuses and replay is Replay.ALL else 1)
    tokens = [f"Bearer {one.token.access.reveal()}" for one in (OLD, NEW)]
    for arrival in arrivals:
        assert not arrival.whole or arrival.body == body
        if method in WRITES and len(arrival.head) > 1:
            assert arrival.fields("AccessToken") == [tokens.pop(0)]


async def play_one(case: Fault, method: str, replay: Replay) -> None:
    body = case.body if method in WRITES else b""
    wanted = expected(case, method, replay)
    async with open_bench(*case.plays, replay=replay, provider=TokensInTurn(*case.tokens)) as bench:
        asking = asyncio.create_task(bench.ask(method, body))
        silence = asyncio.create_task(bench.let_time_out())
        await asyncio.wait((asking, silence), return_when=asyncio.FIRST_COMPLETED)
        silence.cancel()
        reply = await asking
        await bench.ended()
        if "torn" in case.results and reply.header("Sidecar-Answer") == "sidecar":
            # Both ends of this race are right; this one is that of a short answer.
            wanted = expected(replace(case, results=("short",)), method, replay)
        check(reply, bench, wanted)
        assert len(bench.partner.arrivals) == wanted.attempts
        check_arrivals(bench, method, body, replay, refuses=case.results[0] in (401, "broken 401"))
        await works(bench, method, body)


async def works(bench: GatewayBench, method: str, body: bytes) -> None:
    """Check that a further call works as if nothing had been."""
    bench.partner.plays, bench.provider.tokens = [says(201)], [NEW]
    reply = await bench.ask(method, body)
    assert (reply.status, reply.header("Sidecar-Attempts")) == (201, "1")
    await bench.ended()


@pytest.mark.parametrize("name", FAULTS)
def test_what_arrives_and_what_the_app_gets(name: str) -> None:
    async def every() -> None:
        for method, replay in itertools.product(METHODS, Replay):
            await play_one(FAULTS[name], method, replay)

    run(every())


def test_every_other_status_passes_once() -> None:
    async def every() -> None:
        for status in STATUSES:
            if status != 401:
                await play_one(fault(says(status, b"why", "Location: /", "Retry-After: 7"), status), "POST", Replay.ALL)

    run(every())
