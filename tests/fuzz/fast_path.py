"""The fast path against the long way: two listeners get the same bytes and must respond in the same way.

An input is a list of steps, separated by the byte 0xff. The first step may be a byte from 0xb0 on: the number of the
configuration, which is the plain one without it. The first byte of every other step is its action. For an action
of a client, its last three bits are the client's number:

    f0 f1 f2   the client sends the rest as it is      c0   another token          d0   0.25 s pass
    e0 e1 e2   it sends the known request three times  c1   no token               d1   1 s passes
    a0 a1 a2   it closes its writing side              c2   waits are answered     d2   the wall clock is a day ahead
    90 91 92   it opens another connection             c3   an equal token         d3   one caller token is removed
    88 89 8a   it reads no responses                   c4   a suspect token        d4   it comes back
    80 81 82   it reads on

Any other step is sent by the first client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.fast_path.configurations import CALLER_TOKENS, CONFIGURATIONS, Configuration
from tests.fast_path.listener_pair import DifferenceError
from tests.fast_path.requests import DROPPED_LINES
from tests.fast_path.steps import (
    ChangeToken,
    EndWaits,
    HalfClose,
    IssueToken,
    ReadOn,
    Reconnect,
    Repeat,
    RotateCallerTokens,
    Send,
    SetWallClock,
    Step,
    StopReading,
    Wait,
    run_steps,
)
from tests.fuzz.findings import hold
from tests.support.wire import PLAIN

WORDS = (
    PLAIN, b"\xff\xf0" + PLAIN, b"\xff\xf1" + PLAIN, b"\r\n\r\n", b"Accept: text/plain\r\n", b"Connection: close\r\n",
    b"?wait=30", b"If-None-Match: *\r\n", b"Content-Length: 4\r\n", b"Upgrade: websocket\r\n", b"HTTP/1.0", b"HEAD ",
    b"/v1/authorize", b"/v1/token/other", b"\r\nUser-Agent:x", b"\r\n x", b"Host: 10.0.0.5\r\n",
    b"X-Forwarded-For: x\r\n",
    *(b"\r\n" + line for line in DROPPED_LINES),
    *(f"Authorization: Bearer {token}\r\n".encode() for token in CALLER_TOKENS),
    *(b"\xff" + bytes([step]) for step in (
        0xE0, 0xE1, 0xE2, 0xA0, 0xA1, 0x90, 0x91, 0x88, 0x89, 0x80, 0x81, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xD0, 0xD1,
        0xD2, 0xD3, 0xD4,
    )),
)  # fmt: skip
_PART = b"\xff"
_MOST_STEPS = 24
_CLIENTS = 3
_NAMES = tuple(CONFIGURATIONS)
_FIRST_CONFIGURATION = 0xB0
_HAPPENINGS: Mapping[int, Step] = {
    0xC1: ChangeToken("withdraw"),
    0xC2: EndWaits(),
    0xC3: ChangeToken("copy"),
    0xC4: ChangeToken("mark_suspect"),
    0xD0: Wait(0.25),
    0xD1: Wait(1.0),
    0xD2: SetWallClock(86_400),
    0xD3: RotateCallerTokens(CALLER_TOKENS[1:]),
    0xD4: RotateCallerTokens(CALLER_TOKENS),
}
_BEHAVIOURS: Mapping[int, Callable[[int], Step]] = {0xA0: HalfClose, 0x90: Reconnect, 0x88: StopReading, 0x80: ReadOn}


def check(data: bytes) -> None:
    """Do all steps to both, and compare responses and reports after each step."""
    parts = [part for part in data.split(_PART)[:_MOST_STEPS] if part]
    number = parts[0][0] - _FIRST_CONFIGURATION if parts and len(parts[0]) == 1 else -1
    configuration = CONFIGURATIONS[_NAMES[number] if 0 <= number < len(_NAMES) else "plain"]
    steps = [_step(part, at, configuration) for at, part in enumerate(parts) if at or not 0 <= number < len(_NAMES)]
    try:
        run_steps(configuration, steps)
    except DifferenceError as error:
        hold(true=False, what=f"a request is answered in two ways: {error}")


def _step(part: bytes, at: int, configuration: Configuration) -> Step:
    what, rest = part[0], part[1:]
    kind, client = what & 0xF8, what & 0x07
    if what in _HAPPENINGS:
        return _HAPPENINGS[what]
    if what == 0xC0:
        return IssueToken(at)
    if client < _CLIENTS:
        if kind == 0xF0:
            return Send(client, (rest,))
        if kind == 0xE0:
            return Repeat(client, configuration.known[0], 3)
        if kind in _BEHAVIOURS:
            return _BEHAVIOURS[kind](client)
    return Send(0, (part,))
