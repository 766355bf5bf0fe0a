"""The hypothesis strategies for steps of one configuration."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import chain, pairwise

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.fast_path.configurations import CALLER_TOKENS, Configuration
from tests.fast_path.listener import WALL_STEP_S
from tests.fast_path.requests import with_line
from tests.fast_path.steps import (
    STORED,
    ChangeToken,
    Drain,
    EndWaits,
    HalfClose,
    IssueToken,
    ReadOn,
    Reconnect,
    Repeat,
    RotateCallerTokens,
    Send,
    SendAndHalfClose,
    SendAtOnce,
    SendOnResponse,
    SetWallClock,
    Step,
    StopReading,
    Wait,
)

LEAST_ROUNDS, MOST_ROUNDS = 2, 12
_LATEST_LINE = 6
_LONGEST_CUT = 160
_BEHAVIOURS: tuple[Callable[[int], Step], ...] = (HalfClose, StopReading, ReadOn, Reconnect)
_PROFILES = st.sampled_from(("default", "other"))
_CALLER_TOKENS = st.sampled_from(
    (CALLER_TOKENS, CALLER_TOKENS[:1], CALLER_TOKENS[1:], ("caller-token-three",), CALLER_TOKENS)
)
_WAITS_S = st.sampled_from((0.125, 0.25, 0.375, 0.625, 1.0, 1.5, 5.0, 11.0, 80.0))
_CLOCK_STEPS_S = st.sampled_from((-86_400.0, -20.0, -0.625, WALL_STEP_S, 20.0, 1e5))
"""Settings of the wall clock, one of them its value at the start, and one after which `Date` may be the same.

Any two differ by more than `SAME_S`: of two clocks that differ by less, a listener may show a token's times by either.
"""


def steps(configuration: Configuration) -> SearchStrategy[list[Step]]:
    """Return data of clients and other steps, each followed by known requests. In the end the listener may drain."""
    clients = st.integers(0, len(configuration.peers) - 1)
    known = st.sampled_from(configuration.known)
    stored = st.sampled_from(configuration.known[:STORED])
    repeated = st.builds(Repeat, clients, st.one_of(stored, known), st.integers(2, 4))
    happened = st.tuples(_happenings(configuration), repeated).map(list)
    behaved = st.tuples(clients, st.sampled_from(_BEHAVIOURS), known, repeated).map(
        lambda made: [made[1](made[0]), Repeat(made[0], made[2], 2), made[3]]
    )
    sent = st.tuples(_sends(configuration)).map(list)
    rounds = st.lists(st.one_of(sent, happened, behaved), min_size=LEAST_ROUNDS, max_size=MOST_ROUNDS)
    drained = known.map(_drained)
    ends: list[SearchStrategy[list[list[Step]]]] = [st.just([]), drained]
    return st.tuples(rounds, st.one_of(*ends)).map(lambda made: list(chain(*made[0], *made[1])))


def _drained(request: bytes) -> list[list[Step]]:
    return [[Drain(), Repeat(0, request, 2), Repeat(1, request, 2)]]


def _sends(configuration: Configuration) -> SearchStrategy[Step]:
    clients = st.integers(0, len(configuration.peers) - 1)
    data = _data(configuration)
    known = st.sampled_from(configuration.known)
    heads = st.one_of(known, st.sampled_from(configuration.other), _with_lines(configuration))
    together = st.tuples(clients, st.one_of(known, data))
    return st.one_of(
        st.builds(Repeat, clients, heads, st.integers(2, 4)),
        st.builds(Repeat, clients, _with_lines(configuration), st.integers(2, 4)),
        st.builds(Send, clients, st.lists(data, min_size=1, max_size=4).map(tuple)),
        st.builds(Send, clients, _split(heads)),
        st.builds(SendAtOnce, st.lists(together, min_size=2, max_size=4).map(tuple)),
        st.builds(SendAndHalfClose, clients, data),
        st.builds(SendOnResponse, clients, heads, st.one_of(known, data)),
    )


def _happenings(configuration: Configuration) -> SearchStrategy[Step]:
    return st.one_of(
        st.builds(EndWaits),
        st.builds(Wait, _WAITS_S),
        st.builds(SetWallClock, _CLOCK_STEPS_S),
        st.builds(IssueToken, st.integers(0, 3), _PROFILES),
        st.builds(ChangeToken, st.sampled_from(("copy", "mark_suspect", "withdraw", "delay")), _PROFILES),
        *([st.builds(RotateCallerTokens, _CALLER_TOKENS)] if configuration.caller_tokens else []),
    )


def _with_lines(configuration: Configuration) -> SearchStrategy[bytes]:
    """Return a request with up to four more lines."""
    line = st.tuples(st.sampled_from(configuration.lines), st.integers(0, _LATEST_LINE))
    head = st.one_of(
        st.sampled_from(configuration.known), st.sampled_from((*configuration.known, *configuration.other))
    )
    return st.tuples(head, st.lists(line, max_size=4)).map(
        lambda made: reduce(lambda request, added: with_line(request, *added), made[1], made[0])
    )


def _split(heads: SearchStrategy[bytes]) -> SearchStrategy[tuple[bytes, ...]]:
    """Return a request in two or three pieces."""
    cuts = st.lists(st.integers(1, _LONGEST_CUT), min_size=1, max_size=2).map(sorted)
    return st.tuples(heads, cuts).map(lambda made: _cut(*made))


def _cut(head: bytes, cuts: list[int]) -> tuple[bytes, ...]:
    places = [0, *cuts, len(head)]
    pieces = [head[begin:end] for begin, end in pairwise(places)]
    return tuple(piece for piece in pieces if piece)


def _data(configuration: Configuration) -> SearchStrategy[bytes]:
    """Return the data of one segment: a request, several, a part of one, lines before or after one, or random bytes."""
    known = st.sampled_from(configuration.known)
    requests = st.sampled_from((*configuration.known, *configuration.other))
    lines = st.sampled_from(configuration.lines)
    place = st.integers(1, _LONGEST_CUT)
    return st.one_of(
        known,
        requests,
        _with_lines(configuration),
        st.lists(requests, min_size=2, max_size=20).map(b"".join),
        st.tuples(requests, place).map(lambda made: made[0][: made[1]]).filter(bool),
        st.tuples(requests, place).map(lambda made: made[0][made[1] :]).filter(bool),
        st.tuples(known, requests, place).map(lambda made: made[0] + made[1][: made[2]]),
        st.tuples(known, lines).map(lambda made: made[0] + made[1] + b"\r\n"),
        st.tuples(known, lines).map(lambda made: b"\r\n" + made[1] + b"\r\n" + made[0]),
        st.tuples(known, st.binary(min_size=1, max_size=3), place).map(
            lambda made: made[0][: made[2]] + made[1] + made[0][made[2] :]
        ),
        st.binary(min_size=1, max_size=20),
    )
