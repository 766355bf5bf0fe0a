"""Warm answers against the long way: two listeners in front of one vendor get the same bytes and must answer alike.

An input is a list of steps, parted by the byte 0xff. The first byte of a step says what happens: 0xf0 and 0xf1 send the
rest to one of two connections as it is, 0xe0 and 0xe1 send the plain question three times, 0xd0 lets a quarter of a
second pass, 0xd1 a whole one, 0xd2 sets the wall clock ahead by a day, 0xc0 brings another token, 0xc1 takes it away,
0xc2 releases who waits for another. Any other step is sent to the first connection.
"""

from __future__ import annotations

import asyncio

from tests.fakes.wire import PLAIN
from tests.fuzz.findings import hold
from tests.warm.twins import Twins

WORDS = (
    PLAIN, b"\xff\xf0" + PLAIN, b"\xff\xf1" + PLAIN, b"\xff\xe0", b"\xff\xe1", b"\xff\xd0", b"\xff\xd1", b"\xff\xd2",
    b"\xff\xc0", b"\xff\xc1", b"\xff\xc2", b"\r\n\r\n", b"Accept: text/plain\r\n", b"Connection: close\r\n",
    b"?wait=30", b"If-None-Match: *\r\n", b"Content-Length: 4\r\n", b"Upgrade: websocket\r\n", b"HTTP/1.0", b"HEAD ",
    b"\r\ntraceparent: 00-1-2-01", b"\r\nX-Request-Id: 1", b"\r\nb3: 0",
)  # fmt: skip
_PART = b"\xff"
_MOST_STEPS = 24


def check(data: bytes) -> None:
    """Do it to both, and compare what each caller got and what was counted after each step."""
    asyncio.run(_drive(data.split(_PART)[:_MOST_STEPS]))


async def _drive(steps: list[bytes]) -> None:
    twins = Twins()
    twins.connect()
    for number, step in enumerate(steps):
        await _step(twins, step[:1], step[1:], number)
        hold(true=twins.warm.answered == twins.plain.answered, what=f"step {number} is answered in two ways")
        counted = twins.warm.counted + twins.tallies.counted
        hold(true=counted == twins.plain.counted, what=f"step {number} is counted in two ways")
    await twins.hang_up()


async def _step(twins: Twins, what: bytes, rest: bytes, number: int) -> None:
    if what in (b"\xe0", b"\xe1"):
        for _ in range(3):
            await twins.send(what[0] & 1, PLAIN)
    elif what in (b"\xd0", b"\xd1"):
        twins.clock.passed_s += 0.25 if what == b"\xd0" else 1
    elif what == b"\xd2":
        twins.clock.wall_step_s += 86_400
    elif what == b"\xc0":
        twins.vendor.issue(number)
    elif what == b"\xc1":
        twins.vendor.now = None
    elif what == b"\xc2":
        await twins.release()
    elif what in (b"\xf0", b"\xf1"):
        await twins.send(what[0] & 1, rest)
    elif what:
        await twins.send(0, what + rest)
