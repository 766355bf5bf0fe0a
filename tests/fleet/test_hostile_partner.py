"""Every second response of the partner is malicious: apps still get the valid token, and memory does not grow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.processes import Fleet
from tests.support.raw_partner import Play, http, raw_partner, reply, then_say_nothing
from tests.support.replica import Replica, until
from tests.support.resident import watched_memory

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
CLIENTS, PACE_S = 4, 0.01
LONGEST_SILENCE = 100
"""The longest time without a response, in responses of the other sidecar: an idle machine gives some 300 a second."""

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
    """Clients of the attacked sidecar, and of another one that is not attacked."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.bad: list[str] = []
        self.longest_silence = 0
        """The most responses of the other sidecar between two of the attacked one. A busy machine makes both slower."""
        self._silence = 0

    async def ask(self, attacked: Replica) -> None:
        while True:
            answer = await attacked.ask()
            self._silence = 0
            if answer.status != 200 or "suspect" in answer.body:
                self.bad.append(answer.text)
            else:
                self.tokens.append(answer.body["accessToken"])
            await asyncio.sleep(PACE_S)

    async def ask_beside(self, other: Replica) -> None:
        while True:
            await other.ask()
            self._silence += 1
            self.longest_silence = max(self.longest_silence, self._silence)
            await asyncio.sleep(PACE_S)


@asynccontextmanager
async def asking(attacked: Replica, other: Replica) -> AsyncIterator[Apps]:
    apps = Apps()
    jobs = [work for _ in range(CLIENTS) for work in (apps.ask(attacked), apps.ask_beside(other))]
    tasks = [asyncio.create_task(work) for work in jobs]
    try:
        yield apps
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_no_response_keeps_the_valid_token_from_apps_or_makes_the_process_grow(fleet: Fleet) -> None:
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
        other = (await fleet.ready(1, STORE="memory://"))[0]
        replica = (await fleet.ready(1, BASE_URL=partner.url, **SETTINGS))[0]
        async with asking(replica, other) as apps:
            waiting += HOSTILE
            with watched_memory(replica.process.pid) as growth:
                await until(lambda: not waiting)
                after = len(issued)
                await until(lambda: len(issued) > after and issued[-1] in apps.tokens)
        arrived = await replica.metric("partner_requests_total", outcome="ok")

    assert apps.bad == []
    assert set(apps.tokens) <= set(issued)
    # On a busy machine a response may come too late, and a token may be replaced before an app asks for it.
    assert len(issued) >= arrived >= len(set(apps.tokens))
    assert len(partner.received) - len(issued) - len(HOSTILE) in (0, 1), "one call may be under way"
    assert len(partner.received) <= CALLS
    assert apps.longest_silence < LONGEST_SILENCE
    assert growth.peak_bytes < GROWTH_BYTES
    assert len(replica.output) < LOG_BYTES
