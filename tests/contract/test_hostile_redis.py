"""Whoever sits at the store's address answers whatever he likes: an operation fails in time, and holds little."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from sidecar.core.errors import StoreError
from sidecar.core.ports import SharedState
from sidecar.stores.redis.bounded_parser import MAX_REPLY_BYTES
from sidecar.stores.redis.store import MAX_OFFERS
from tests.contract.operations import opened
from tests.contract.worlds import PROFILE, an_ask
from tests.support.flood import flooding
from tests.support.replica import HANG_S, until
from tests.support.resident import watched_memory

TIMEOUT_S = 0.5
GROWTH_BYTES = 16 * 1024 * 1024
"""A reply, and twice as much again under way; the rest is what an interpreter takes from the system at a time."""
WAYS = ["redis://127.0.0.1:{}", "redis+cluster://127.0.0.1:{}", "redis+sentinel://127.0.0.1:{}/service/0"]

ENDLESS = {
    "a string of a gigabyte": (b"$1000000000\r\n", b"x"),
    "a line": (b"+", b"x"),
    "an error": (b"-ERR ", b"x"),
    "a list of a thousand million": (b"*1000000000\r\n", b":1\r\n"),
    "a list as long as may be": (b"*300000\r\n", b":1\r\n"),
    "lists in lists": (b"", b"*1\r\n"),
    "long lists in lists": (b"", b"*100000\r\n"),
    "messages nobody asked for": (b"", b">2\r\n+a\r\n+b\r\n"),
    "replies": (b"", b"+OK\r\n"),
    "a web server": (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x"),
}


async def fails(shared: SharedState) -> float:
    """How long one look took to fail."""
    started = time.monotonic()
    async with asyncio.timeout(HANG_S):
        with pytest.raises(StoreError):
            await shared.peek(0)
    return time.monotonic() - started


@pytest.mark.parametrize("way", WAYS, ids=["server", "cluster", "sentinel"])
@pytest.mark.parametrize("what", ENDLESS)
async def test_an_endless_answer_is_given_up_in_time_and_never_held(what: str, way: str) -> None:
    first, then = ENDLESS[what]
    with flooding(first, then) as server:
        async with opened(way.format(server.port), TIMEOUT_S) as store:
            shared = store.shared_state(PROFILE)
            with watched_memory() as growth:
                for _ in range(3):
                    await fails(shared)
        await until(lambda: bool(server.connections))
    assert growth.peak_bytes < GROWTH_BYTES


@pytest.mark.parametrize(
    "then", [b"$1000\r\n" + b"x" * 1000 + b"\r\n", b"+", b"*9\r\n:1\r\n"], ids=["string", "line", "list"]
)
async def test_an_answer_a_byte_at_a_time_ends_with_the_operations_time(then: bytes) -> None:
    with flooding(b"", then, drip_s=0.02) as server:
        async with opened(f"redis://127.0.0.1:{server.port}", TIMEOUT_S) as store:
            took_s = await fails(store.shared_state(PROFILE))
    assert took_s > TIMEOUT_S * 0.9


def bulk(document: object) -> bytes:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return b"$%d\r\n%s\r\n" % (len(text), text)


SEEN = {"now_ms": 1, "outcome": "seen"}


@pytest.mark.parametrize("way", WAYS, ids=["server", "cluster", "sentinel"])
@pytest.mark.parametrize(
    "reply",
    [
        b"$-1\r\n", b"*-1\r\n", b":5\r\n", b"+OK\r\n", b"*0\r\n", b"*2\r\n:1\r\n:2\r\n",
        b"*1\r\n*3\r\n:0\r\n:1\r\n*0\r\n",
        b"$-5\r\n", b"$x\r\n", b"*x\r\n", b":x\r\n", b"$99999999999999999999\r\n", b"\r\n", b"#t\r\n",
        b",1e400\r\n", b"_\r\n",
        b"(" + b"9" * 6000 + b"\r\n", b"%1\r\n+a\r\n+b\r\n", b"-\r\n", b"-\xff\xfe\r\n", b"-MOVED x\r\n", b"-ASK\r\n",
        b"-MOVED 1 127.0.0.1:1\r\n", b"-NOSCRIPT x\r\n", b"-TRYAGAIN x\r\n", bulk(b""), bulk(b"["*60_000),
        bulk(b'{"x": ' * 60_000), bulk({}), bulk({**SEEN, "now_ms": -1}),
        bulk(b'{"now_ms": ' + b"9" * 400 + b', "outcome": "seen"}'), bulk({**SEEN, "left_ms": 1e309}),
        bulk({**SEEN, "gate": {"epoch": "e", "born_ms": 1, "proven": dict.fromkeys(map(str, range(17_000)), 1)}}),
        bulk({**SEEN, "gate": {"epoch": "e" * 1000, "born_ms": 1}}), bulk({**SEEN, "damaged": ["seal"] * 10_000}),
        bulk({**SEEN, "damaged": ["anything"]}), bulk({**SEEN, "gate": {"epoch": "e", "born_ms": 10**14}}),
    ],
    ids=lambda reply: repr(reply[:20]),
)  # fmt: skip
async def test_an_answer_of_another_form_is_a_store_that_failed(reply: bytes, way: str) -> None:
    with flooding(reply) as server:
        async with opened(way.format(server.port), TIMEOUT_S) as store:
            await fails(store.shared_state(PROFILE))


@pytest.mark.parametrize("outcome", ["granted", "cooling-down"])
async def test_a_decision_without_its_ground_is_a_store_that_failed(outcome: str) -> None:
    with flooding(bulk({**SEEN, "outcome": outcome, "gate": {"epoch": "e", "born_ms": 1}})) as server:
        async with opened(f"redis://127.0.0.1:{server.port}") as store:
            with pytest.raises(StoreError):
                await store.shared_state(PROFILE).claim(an_ask())


async def test_tokens_nobody_can_open_are_not_asked_for_without_end() -> None:
    """Each question is answered by an offer, so a claim that went on would never end."""
    asked = 0

    async def offer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        while await reader.read(65_536):
            asked += 1
            token = {"fence": asked, "id": "x", "sealed": "aes:one:AAAA"}
            writer.write(bulk({**SEEN, "outcome": "adopt", "token": token}))
        writer.close()

    server = await asyncio.start_server(offer, "127.0.0.1", 0)
    async with server, opened(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}") as store:
        with pytest.raises(StoreError):
            await store.shared_state(PROFILE).claim(an_ask(epoch="seen before"))
    assert asked == MAX_OFFERS


async def test_a_reply_of_the_greatest_length_is_read_and_a_longer_one_is_not() -> None:
    """By the error one sees which: the first is read and is no answer of ours, the second is not read."""
    for length, cause in ((MAX_REPLY_BYTES - 20, "ValidationError"), (MAX_REPLY_BYTES, "ReplyTooLargeError")):
        with flooding(bulk(b'"' + b"a" * (length - 2) + b'"')) as server:
            async with opened(f"redis://127.0.0.1:{server.port}") as store:
                with pytest.raises(StoreError) as caught:
                    await store.shared_state(PROFILE).peek(0)
        assert caught.value.cause == cause
