"""The fast path against the long way: two listeners in front of one vendor get the same bytes and must answer alike.

An input is a list of steps, parted by the byte 0xff. The first byte of a step says what happens: 0xf0 and 0xf1 send the
rest to one of two connections as it is, 0xe0 and 0xe1 send the plain request three times, 0xd0 lets a quarter of a
second pass, 0xd1 a whole one, 0xd2 sets the wall clock ahead by a day, 0xc0 brings another token, 0xc1 takes it away,
0xc2 answers requests that wait. Any other step is sent to the first connection.
"""

from __future__ import annotations

from tests.fakes.wire import PLAIN
from tests.fast_path.configurations import CONFIGURATIONS
from tests.fast_path.listener_pair import DifferenceError
from tests.fast_path.steps import (
    ChangeToken,
    EndWaits,
    IssueToken,
    Repeat,
    Send,
    SetWallClock,
    Step,
    Wait,
    run_steps,
)
from tests.fuzz.findings import hold

WORDS = (
    PLAIN, b"\xff\xf0" + PLAIN, b"\xff\xf1" + PLAIN, b"\xff\xe0", b"\xff\xe1", b"\xff\xd0", b"\xff\xd1", b"\xff\xd2",
    b"\xff\xc0", b"\xff\xc1", b"\xff\xc2", b"\r\n\r\n", b"Accept: text/plain\r\n", b"Connection: close\r\n",
    b"?wait=30", b"If-None-Match: *\r\n", b"Content-Length: 4\r\n", b"Upgrade: websocket\r\n", b"HTTP/1.0", b"HEAD ",
    b"\r\ntraceparent: 00-1-2-01", b"\r\nX-Request-Id: 1", b"\r\nb3: 0",
)  # fmt: skip
_PART = b"\xff"
_MOST_STEPS = 24
_HAPPENINGS: dict[bytes, Step] = {
    b"\xe0": Repeat(0, PLAIN, 3),
    b"\xe1": Repeat(1, PLAIN, 3),
    b"\xd0": Wait(0.25),
    b"\xd1": Wait(1.0),
    b"\xd2": SetWallClock(86_400),
    b"\xc1": ChangeToken("withdraw"),
    b"\xc2": EndWaits(),
}


def check(data: bytes) -> None:
    """Do it to both, and compare what each client got and what was counted after each step."""
    steps = [_step(part[:1], part[1:], number) for number, part in enumerate(data.split(_PART)[:_MOST_STEPS]) if part]
    try:
        run_steps(CONFIGURATIONS["plain"], steps)
    except DifferenceError as error:
        hold(true=False, what=f"a request is answered in two ways: {error}")


def _step(what: bytes, rest: bytes, number: int) -> Step:
    if what in _HAPPENINGS:
        return _HAPPENINGS[what]
    if what == b"\xc0":
        return IssueToken(number)
    if what in (b"\xf0", b"\xf1"):
        return Send(what[0] & 1, (rest,))
    return Send(0, (what + rest,))
