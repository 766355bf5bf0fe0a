"""The table of warm answers: small, exact, and gone with what its answers were made of."""

from __future__ import annotations

import pytest

from sidecar.web.answers import json_answer
from sidecar.web.warm import MAX_REQUEST_BYTES, MAX_REQUESTS, MAX_SEEN, WarmAnswers
from tests.fakes.vendor import FakeVendor, FixedClock, vended


class Counting:
    """A tally that remembers."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, float]] = []

    def count(self, code: str, duration_s: float) -> None:
        self.counted.append((code, duration_s))


class Bench:
    def __init__(self, *, traced: bool = False) -> None:
        self.clock, self.vendor, self.tally = FixedClock(), FakeVendor(), Counting()
        self.warm = WarmAnswers(self.clock, lambda _profile, _endpoint: self.tally, traced=traced)
        self.vendor.now = vended(good_until=0.5)

    def learn(self, request: bytes, times: int = 2) -> None:
        assert self.vendor.now is not None
        for _ in range(times):
            self.warm.learn(request, json_answer(200, {"a": 1}), self.vendor.now, self.vendor, "token")


def test_what_is_seen_once_is_not_kept_and_what_is_seen_twice_is() -> None:
    bench = Bench()
    bench.learn(b"GET /", times=1)
    assert bench.warm.find(b"GET /") is None
    bench.learn(b"GET /", times=1)
    warm = bench.warm.find(b"GET /")
    assert warm is not None
    assert warm.answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert warm.answer.endswith(b'\r\nContent-Length: 7\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n{"a":1}')
    assert bench.tally.counted == [("ok", 0.0)]


def test_other_bytes_are_another_request() -> None:
    bench = Bench()
    bench.learn(b"GET /")
    assert bench.warm.find(b"GET /\r\n") is None


def test_an_answer_lives_until_a_whole_second_in_it_changes() -> None:
    bench = Bench()
    bench.learn(b"GET /")
    bench.clock.passed_s = 0.49
    assert bench.warm.find(b"GET /") is not None
    bench.clock.passed_s = 0.5
    assert bench.warm.find(b"GET /") is None


def test_an_answer_lives_no_longer_than_its_date() -> None:
    bench = Bench()
    bench.vendor.now = vended(good_until=100)
    bench.clock.passed_s = 7.9
    bench.learn(b"GET /")
    assert bench.warm.find(b"GET /") is not None
    bench.clock.passed_s = 8.0
    assert bench.warm.find(b"GET /") is None


@pytest.mark.parametrize("step_s", [-86_400, -1.5, 1.5, 86_400])
def test_an_answer_ends_at_once_when_the_wall_clock_is_set(step_s: float) -> None:
    """Every instant in it would be another now; what is left of the token's life is not."""
    bench = Bench()
    bench.vendor.now = vended(good_until=100)
    bench.clock.passed_s = 7.5
    bench.learn(b"GET /")
    assert bench.warm.find(b"GET /") is not None
    bench.clock.wall_step_s = step_s
    assert bench.warm.find(b"GET /") is None


def test_an_answer_is_gone_with_its_token() -> None:
    bench = Bench()
    bench.learn(b"GET /")
    bench.vendor.now = vended(good_until=0.5)
    assert bench.warm.find(b"GET /") is None


def test_an_answer_that_is_over_is_learned_anew_at_once() -> None:
    bench = Bench()
    bench.learn(b"GET /")
    bench.clock.passed_s = 1.0
    bench.vendor.now = vended("another", expires_in_s=899, good_until=1.5)
    bench.learn(b"GET /", times=1)
    assert bench.warm.find(b"GET /") is not None


def test_the_table_is_small_and_forgets_the_oldest() -> None:
    bench = Bench()
    for number in range(MAX_REQUESTS + 1):
        bench.learn(b"GET /%d" % number)
    assert bench.warm.find(b"GET /0") is None
    assert bench.warm.find(b"GET /1") is not None
    assert len(bench.warm._known) == MAX_REQUESTS


def test_requests_that_differ_each_time_do_not_grow_it() -> None:
    bench = Bench()
    for number in range(3 * MAX_SEEN):
        bench.learn(b"GET /%d" % number, times=1)
    assert len(bench.warm._seen) <= MAX_SEEN
    assert bench.warm._known == {}


def test_a_long_request_is_not_kept() -> None:
    bench = Bench()
    bench.learn(b"x" * (MAX_REQUEST_BYTES + 1))
    assert bench.warm.find(b"x" * (MAX_REQUEST_BYTES + 1)) is None


@pytest.mark.parametrize(
    "line", [b"Authorization: Bearer x", b"proxy-authorization : x", b"COOKIE: a=b", b"Sidecar-Token: x"]
)
def test_a_request_that_carries_a_secret_is_not_kept(line: bytes) -> None:
    bench = Bench()
    bench.learn(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n", times=3)
    assert bench.warm._known == {}
    assert bench.warm._seen == {}


def test_a_token_that_is_vended_no_more_is_forgotten_with_the_next_answer() -> None:
    """Also that of a request nobody asks again."""
    bench = Bench()
    bench.learn(b"GET /1")
    bench.vendor.now = vended("another", good_until=0.5)
    bench.learn(b"GET /2")
    old = bench.warm._known[b"GET /1"]
    assert (old.answer, old.token) == (b"", None)
    assert bench.warm.find(b"GET /1") is None
    bench.learn(b"GET /1", times=1)
    assert bench.warm.find(b"GET /1") is not None


def test_where_traces_are_told_of_a_request_of_one_is_always_looked_at() -> None:
    """Also one that comes again and again with the same trace; other headers of tracing make no difference."""
    bench = Bench(traced=True)
    for name in (b"traceparent", b"TraceParent"):
        request = b"GET / HTTP/1.1\r\n" + name + b": 00-1-2-01\r\n\r\n"
        bench.learn(request, times=5)
        assert bench.warm.find(request) is None
    bench.learn(b"GET / HTTP/1.1\r\n\r\n")
    assert bench.warm.find(b"GET / HTTP/1.1\r\ntraceparent: 00-1-2-01\r\n\r\n") is None
    assert bench.warm.find(b"GET / HTTP/1.1\r\nb3: 1\r\n\r\n") is not None
