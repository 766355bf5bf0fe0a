"""Each second answer of the partner is meant to do harm: apps get the valid token meanwhile, and no process grows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.processes import Fleet
from tests.fakes.raw_partner import Play, http, raw_partner, reply, then_say_nothing
from tests.fakes.replica import Replica, until
from tests.fakes.resident import watched_memory

CALLS, WINDOW_S = 40, 60
SETTINGS = {
    "STORE": "memory://",
    "TOKEN_LIFETIME_S": "12",
    "REFRESH_AT": "0.1",
    "PARTNER_TIMEOUT_S": "1",
    "COOLDOWN_S": "0.5",
    "CALL_BUDGET": f"{CALLS}/{WINDOW_S}",
}
GROWTH_BYTES = 16 * 1024 * 1024
LOG_BYTES = 40_000
CLIENTS = 4
QUIET_ANSWERS = 500
"""So many are asked for before the first attack: what a busy machine adds to an answer is in them too."""

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def flood(first: bytes, then: bytes) -> Play:
    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(then * (65_536 // len(then)))
            await writer.drain()

    return play


HOSTILE: list[Play] = [
    flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    flood(CHUNKED + b"1;", b"a=b;"),
    flood(CHUNKED, b"1\r\nx\r\n"),
    flood(OK, b"X-A: b\r\n"),
    flood(OK + b"Content-Length: 1000000000000\r\n\r\n", b"x"),
    flood(b"", b"\r\n"),
    then_say_nothing(OK + b"Content-Length: 9\r\n\r\n{"),
    reply(OK + b"Content-Length: -1\r\n\r\n{}"),
    http("429 Too Many Requests", b"{}", "Retry-After: 1e309"),
    http("503 No", b"{}", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"),
    http("200 OK", b'{"role": "API_USER", "accessToken": "harm", "expiresIn": 1e-300}'),
]


class Apps:
    """They never stop asking."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.bad: list[str] = []
        self.took_s: list[float] = []

    async def ask(self, replica: Replica) -> None:
        loop = asyncio.get_running_loop()
        while True:
            asked_at = loop.time()
            answer = await replica.ask()
            self.took_s.append(loop.time() - asked_at)
            if answer.status != 200 or "suspect" in answer.body:
                self.bad.append(answer.text)
            else:
                self.tokens.append(answer.body["accessToken"])
            await asyncio.sleep(0.01)  # the pace of an app


def slowest(took_s: list[float]) -> float:
    """All but one in a hundred were quicker."""
    return sorted(took_s)[int(len(took_s) * 0.99)]


@asynccontextmanager
async def asking(replica: Replica) -> AsyncIterator[Apps]:
    apps = Apps()
    tasks = [asyncio.create_task(apps.ask(replica)) for _ in range(CLIENTS)]
    try:
        yield apps
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_no_answer_keeps_the_valid_token_from_apps_or_makes_the_process_grow(fleet: Fleet) -> None:
    issued: list[str] = []
    waiting: list[Play] = []

    async def in_turn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(partner.received) % 2 == 0 and waiting:
            await waiting.pop(0)(reader, writer)
            return
        issued.append(f"good-{len(issued)}")
        await http("200 OK", json.dumps({"role": "API_USER", "accessToken": issued[-1]}).encode())(reader, writer)

    async with raw_partner() as partner:
        partner.play = in_turn
        replica = (await fleet.ready(1, BASE_URL=partner.url, **SETTINGS))[0]
        async with asking(replica) as apps:
            await until(lambda: len(apps.took_s) >= QUIET_ANSWERS)
            quiet_s, apps.took_s = slowest(apps.took_s), []
            waiting += HOSTILE
            with watched_memory(replica.process.pid) as growth:
                await until(lambda: not waiting)
                after = len(issued)
                await until(lambda: len(issued) > after)
        arrived = await replica.metric("partner_requests_total", outcome="ok")

    assert apps.bad == []
    assert set(apps.tokens) <= set(issued)
    # On a busy machine a good answer may come too late.
    assert len(issued) >= arrived >= len(set(apps.tokens)) >= arrived - 1
    assert len(partner.received) - len(issued) == len(HOSTILE)
    assert len(partner.received) <= CALLS
    assert slowest(apps.took_s) < 0.25 + 3 * quiet_s
    assert growth.peak_bytes < GROWTH_BYTES
    assert len(replica.output) < LOG_BYTES
