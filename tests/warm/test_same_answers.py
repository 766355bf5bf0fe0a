"""Whatever is sent, in whatever pieces and order, and whatever happens to the token: both ways answer alike."""

from __future__ import annotations

import asyncio
import re
from functools import reduce
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.web import warm
from sidecar.web.connection import Connection
from sidecar.web.head_meter import HeadMeter
from sidecar.web.warm import Warm, WarmAnswers
from tests.fakes.wire import PLAIN
from tests.warm.twins import AgingVendor, Twins

CALLERS = 4
_HEAD = b"Host: localhost\r\nSidecar-Request: true\r\n"
WAITING = b"GET /v1/token?wait=30 HTTP/1.1\r\n" + _HEAD + b"If-None-Match: *\r\n\r\n"
CLOSING = b"GET /v1/token HTTP/1.1\r\n" + _HEAD + b"Connection: close\r\n\r\n"
NOWHERE = b"GET /nowhere HTTP/1.1\r\n" + _HEAD + b"\r\n"
REQUESTS = (
    PLAIN,
    b"GET /v1/token HTTP/1.1\r\n" + _HEAD + b"Accept: text/plain\r\n\r\n",
    b"GET /v1/authorize HTTP/1.1\r\n" + _HEAD + b"\r\n",
    WAITING,
    b"\r\n" + PLAIN,
    b"GET /v1/token?min_ttl=5 HTTP/1.1\r\n" + _HEAD + b"\r\n",
    b"HEAD /v1/token HTTP/1.1\r\n" + _HEAD + b"\r\n",
    b"GET /v1/token HTTP/1.1\r\n" + _HEAD + b"If-None-Match: *\r\n\r\n",
    CLOSING,
    b"GET /v1/token HTTP/1.1\r\n" + _HEAD + b"Connection: keep-alive\r\n\r\n",
    b"GET /v1/token HTTP/1.0\r\n" + _HEAD + b"\r\n",
    b"GET /v1/token HTTP/1.1\r\n" + _HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET /v1/token HTTP/1.1\r\n" + _HEAD + b"Content-Length: 4\r\n\r\nGET ",
    b"GET /v1/token HTTP/1.1\r\nHost: evil.test\r\nSidecar-Request: true\r\n\r\n",
    b"GET /v1/token HTTP/1.1\r\n" + _HEAD + b"Via: x\r\n\r\n",
    NOWHERE,
    b"POST /v1/token/rejected HTTP/1.1\r\n"
    + _HEAD
    + b'Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{"tokenId":"x"}',
    b"G\x01T / HTTP/1.1\r\n\r\n",
)


def traced(request: bytes, line: bytes) -> bytes:
    """The request with one more header line, after its first line or before its end."""
    first, _, rest = request.partition(b"\r\n")
    return first + b"\r\n" + line + b"\r\n" + rest if len(line) % 2 else request[:-2] + line + b"\r\n\r\n"


_names = st.sampled_from(
    (b"traceparent", b"X-Request-Id", b"b3", b"X-B3-Sampled", b"x-trace-id", b"X_Trace_Id", b"Via")
)
_colons = st.sampled_from((b": ", b":", b" : ", b":  "))
_values = st.sampled_from((b"1", b"a-b", b"", b"a b", b"\x01"))
_traces = st.tuples(_names, _colons, _values).map(b"".join)
_callers = st.integers(0, CALLERS - 1)
_pieces = st.one_of(
    st.tuples(st.sampled_from(REQUESTS[:5]), _traces).map(lambda it: it[0] + it[1] + b"\r\n"),
    st.tuples(st.sampled_from(REQUESTS[:5]), _traces).map(lambda it: b"\r\n" + it[1] + b"\r\n" + it[0]),
    st.sampled_from(REQUESTS),
    st.sampled_from(REQUESTS[:5]),
    st.lists(st.sampled_from(REQUESTS), min_size=2, max_size=20).map(b"".join),
    st.tuples(st.sampled_from(REQUESTS), st.integers(1, 90)).map(lambda cut: cut[0][: cut[1]]),
    st.tuples(st.sampled_from(REQUESTS), st.integers(1, 90)).map(lambda cut: cut[0][cut[1] :]),
    st.tuples(st.sampled_from(REQUESTS), st.integers(1, 90)).map(lambda cut: PLAIN + cut[0][: cut[1]]),
    st.tuples(st.sampled_from(REQUESTS[:5]), st.lists(_traces, max_size=3)).map(
        lambda it: reduce(traced, it[1], it[0])
    ),
    st.binary(min_size=1, max_size=20),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), _callers, _pieces),
        st.tuples(st.just("ask"), _callers, st.integers(2, 4)),
        st.tuples(st.just("time"), st.sampled_from((0.1, 0.4, 1.0, 5.0)), st.none()),
        st.tuples(st.just("clock"), st.sampled_from((-86_400.0, -20.0, 0.0, 1e5)), st.none()),
        st.tuples(st.just("token"), st.integers(1, 5), st.none()),
        st.tuples(st.sampled_from(("none", "release")), st.none(), st.none()),
    ),
    max_size=12,
)


Step: TypeAlias = tuple[str, object, object]


def drive(steps: list[Step]) -> int:
    """Do all of it to both, comparing after each step; how many answers were warm."""

    async def all_of_it() -> int:
        twins = Twins(CALLERS)
        twins.connect()
        for what, one, other in steps:
            await step(twins, what, one, other)
            twins.agree()
        await twins.hang_up()
        return sum(twins.tallies.counted.values())

    return asyncio.run(all_of_it())


async def step(twins: Twins, what: str, one: object, other: object) -> None:
    if what == "send":
        assert isinstance(one, int)
        assert isinstance(other, bytes)
        await twins.send(one, other)
    elif what == "ask":
        assert isinstance(one, int)
        assert isinstance(other, int)
        for _ in range(other):
            await twins.send(one, PLAIN)
    elif what == "time":
        assert isinstance(one, float)
        twins.clock.passed_s += one
    elif what == "clock":
        assert isinstance(one, float)
        twins.clock.wall_step_s = one
    elif what == "token":
        assert isinstance(one, int)
        twins.vendor.issue(one)
    elif what == "release":
        await twins.release()
    else:
        twins.vendor.now = None


THOROUGH = settings(
    max_examples=400, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@THOROUGH
@given(STEPS)
def test_both_ways_answer_alike(steps: list[Step]) -> None:
    drive(steps)


def test_what_is_asked_again_is_answered_warm() -> None:
    """The first time it is seen, the second time learned."""
    assert drive([("ask", 0, 10), ("ask", 1, 10)]) == 18


def test_a_clock_that_is_set_is_followed_by_the_next_answer() -> None:
    """One goes the long way, and the next is warm again."""
    assert drive([("ask", 0, 4), ("clock", 1e5, None), ("ask", 0, 3)]) == 4


def test_a_trace_makes_no_difference() -> None:
    steps: list[Step] = [("send", 0, traced(PLAIN, b"X-Request-Id: %d" % number)) for number in range(10)]
    assert drive(steps) == 8


def test_more_traces_than_any_caller_sends_make_one() -> None:
    """aiohttp takes 128 headers and no more."""
    many = reduce(traced, [b"b3: 1"] * 130, PLAIN)
    assert drive([("ask", 0, 4), ("send", 0, many), ("send", 1, many)]) == 2


_LONGEST = PLAIN[:-2] + b"a: 1\r\n" * 120 + b"\r\n"
NO_TRACES = {
    "after the end": (PLAIN, PLAIN + b"b3: x\r\n"),
    "twice after the end": (PLAIN, PLAIN + b"b3: x\r\n" * 2),
    "after the end, and within": (PLAIN, traced(PLAIN, b"b3: 1") + b"b3: x\r\n"),
    "in place of the request line": (b"\r\n" + PLAIN, b"\r\nb3: x\r\n" + PLAIN),
    "more lines than a request may have": (_LONGEST, reduce(traced, [b"b3: 1"] * 8, _LONGEST)),
}


@pytest.mark.parametrize("name", NO_TRACES)
def test_a_line_is_a_trace_only_where_it_is_a_header_line(name: str) -> None:
    """The known request alone has warm answers; what is sent after it is what both ways make of it."""
    known, sent = NO_TRACES[name]
    asked: list[Step] = [("send", 0, known)] * 3
    assert drive([*asked, ("send", 1, sent), ("send", 1, NOWHERE)]) == 1


def test_a_warm_answer_may_be_the_last_one() -> None:
    """To who has not said anything before, and to who has."""
    closing: list[Step] = [("send", caller, CLOSING) for caller in range(3)]
    assert drive([*closing, ("send", 3, NOWHERE), ("send", 3, CLOSING)]) == 2


def never_over(self: WarmAnswers, request: bytes) -> Warm | None:
    found = self._known.get(request)
    if found is None or not found.is_held:
        return None
    found.tally.count("ok", 0)
    return found


_LEARNED: list[Step] = [("ask", 0, 4)]
PLANTED: dict[str, tuple[object, str, object, list[Step]]] = {
    "the token is not looked at": (AgingVendor, "holds", lambda *_: True, [("token", 1, None), ("ask", 0, 2)]),
    "answers do not end": (WarmAnswers, "find", never_over, [("time", 1.0, None), ("ask", 0, 2)]),
    "halves of requests are forgotten": (
        HeadMeter,
        "whole",
        property(lambda _: True, lambda *_: None),
        [("send", 0, PLAIN + b"G"), ("ask", 0, 2)],
    ),
    "a header that a guard reads counts as a trace": (
        warm,
        "_TRACES",
        re.compile(rb"\r\nVia: [!-~]+(?=\r\n)"),
        [("send", 0, traced(PLAIN, b"Via: x"))],
    ),
    "what is under way is not looked at": (
        Connection,
        "_is_idle",
        lambda _: True,
        [("send", 0, WAITING), ("ask", 0, 2)],
    ),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, broken, steps = PLANTED[bug]
    drive(_LEARNED + steps)
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError):
        drive(_LEARNED + steps)
