"""What the fast path keeps, and for how long: requests seen twice, and responses that are still true."""

from __future__ import annotations

import pytest

from sidecar.core.process_events import Endpoint
from sidecar.web.server.known_requests import MAX_ENTRIES, MAX_SEEN, KnownRequests
from tests.fast_path.aging_vendor import ISSUED_AT, LIFE_S, AgingVendor
from tests.fast_path.held_bytes import held_bytes
from tests.fast_path.learner import WALL_STEP_S, Learner
from tests.fast_path.requests import HOST, request

ENDPOINTS: tuple[Endpoint, ...] = ("token", "authorize")
CANARY = b"canary-caller-token-0e6f"
PLAIN = request(b"/v1/token", HOST)
NOW = "Thu, 01 Jan 2026 00:00:00 GMT"


def numbered(number: int) -> bytes:
    return request(b"/v1/authorize/default/%d" % number, HOST)


def test_a_request_that_was_seen_once_is_unknown_and_one_that_was_seen_twice_is_known() -> None:
    learner = Learner()
    learner.learn(PLAIN, times=1)
    assert learner.find(PLAIN) is None
    learner.learn(PLAIN, times=1)
    response = learner.response_to(PLAIN)
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"\r\nDate: {NOW}\r\n".encode() in response
    assert response.endswith(b'\r\n\r\n{"token":"default-token-0","left":899,"since":1767225600.5625}')
    assert [code for code, _ in learner.tally.counted] == ["ok"]


def test_other_bytes_are_another_request() -> None:
    learner = Learner()
    learner.learn(PLAIN)
    for other in (PLAIN + b" ", PLAIN[:-1], PLAIN.replace(b"H", b"h"), request(b"/v1/token/", HOST)):
        assert learner.find(other) is None


def test_the_key_of_a_request_is_a_digest_that_no_other_process_makes() -> None:
    one, other = Learner(), Learner()
    assert one.key(PLAIN) == one.key(PLAIN) != other.key(PLAIN)
    assert len(one.key(PLAIN).digest) == len(one.key(PLAIN * 9).digest) == 16


def test_nothing_of_a_request_is_held() -> None:
    learner = Learner(audit=True, spans=True)
    for line in (b"Authorization: Bearer ", b"Sidecar-Token: ", b"X-Request-Id: ", b"User-Agent: ", b"Cookie: "):
        head = request(b"/v1/authorize/default/" + CANARY, HOST, line + CANARY)
        learner.learn(head)
        learner.response_to(head)
        learner.learn(head.replace(b"\r\n\r\n", b"\r\nX-Once: " + CANARY + b"\r\n\r\n"), times=1)
    held = held_bytes(learner.fast_path, but=learner.parts_of_the_test)
    assert b"default-token-0" in held
    assert b"HTTP/1.1 200 OK" in held
    assert CANARY not in held


def test_a_request_that_is_held_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KnownRequests, "_digest", lambda _self, read, _peer: read)
    learner = Learner()
    learner.learn(request(b"/v1/token", b"Authorization: Bearer " + CANARY))
    assert CANARY in held_bytes(learner.fast_path, but=learner.parts_of_the_test)


def test_a_response_is_rendered_once_while_it_is_true() -> None:
    learner = Learner()
    learner.learn(PLAIN)
    for _ in range(3):
        learner.response_to(PLAIN)
    assert len(learner.rendered) == 1


@pytest.mark.parametrize("passed_s", [0.03125, 0.0625, 0.5, 0.59375, 0.625, 0.65625, 1.0, 1.5, 3600.25])
def test_a_response_follows_the_seconds_of_both_clocks(passed_s: float) -> None:
    """`expiresIn` changes with the age of the token, `Date` with the wall clock."""
    learner = Learner()
    learner.learn(PLAIN)
    learner.clock.passed_s = passed_s
    response = learner.response_to(PLAIN)
    left_s = max(1, int(LIFE_S + ISSUED_AT - passed_s))
    assert f'"left":{left_s},'.encode() in response
    minutes, seconds = divmod(int(WALL_STEP_S + passed_s), 60)
    assert f"Date: Thu, 01 Jan 2026 {minutes // 60:02}:{minutes % 60:02}:{seconds:02} GMT".encode() in response


@pytest.mark.parametrize("step_s", [-86_400, -20, -1.5, -1.0625, -0.5, 0.5, 1.0625, 1.5, 20, 86_400])
@pytest.mark.parametrize("passed_s", [0.0, 0.25, 0.5, 0.59375])
def test_a_response_follows_the_wall_clock_when_somebody_sets_it(step_s: float, passed_s: float) -> None:
    """What is left of the token's life stays the same; the timestamps do not. Also where the seconds of `Date` do."""
    learner, other = Learner(), Learner()
    learner.learn(PLAIN)
    for each in (learner, other):
        each.clock.wall_step_s += step_s
        each.clock.passed_s += passed_s
    other.learn(PLAIN)
    assert learner.response_to(PLAIN) == other.response_to(PLAIN)


@pytest.mark.parametrize("change", ["issue", "copy"])
def test_a_response_follows_the_token_without_being_learned_again(change: str) -> None:
    learner = Learner()
    learner.learn(PLAIN)
    before = learner.response_to(PLAIN)
    learner.rendered.clear()
    if change == "issue":
        learner.vendor.issue(1)
    else:
        learner.vendor.copy()
    after = learner.response_to(PLAIN)
    assert [vended.token for vended in learner.rendered] == [learner.vendor._token]
    assert learner.rendered[0].token is learner.vendor._token
    assert (b"default-token-1" in after, after == before) == (change == "issue", change == "copy")


@pytest.mark.parametrize("change", ["mark_suspect", "withdraw"])
def test_without_a_good_token_nothing_is_answered_and_with_the_next_one_it_is(change: str) -> None:
    learner = Learner()
    learner.learn(PLAIN)
    getattr(learner.vendor, change)()
    assert learner.find(PLAIN) is None
    assert learner.tally.counted == []
    learner.vendor.issue(1)
    assert b"default-token-1" in learner.response_to(PLAIN)


def test_under_another_version_of_the_caller_tokens_a_request_is_unknown() -> None:
    """Also under an equal one, and also when the first one comes back: the guards have to look at the request again."""
    learner = Learner()
    learner.rotate("caller-token-one")
    first = learner.caller_tokens
    learner.learn(PLAIN)
    learner.response_to(PLAIN)
    learner.rotate("caller-token-one")
    assert learner.find(PLAIN) is None
    learner.caller_tokens = first
    assert learner.find(PLAIN) is None
    learner.learn(PLAIN)
    learner.response_to(PLAIN)


def test_a_request_that_was_let_pass_under_the_version_before_is_unknown() -> None:
    """The rotation came between the guards' look at it and the end of its answer."""
    learner = Learner()
    learner.rotate("caller-token-one")
    learner.learn(PLAIN)
    learner.rotate("caller-token-two")
    assert learner.find(PLAIN) is None


def test_a_token_that_is_replaced_is_forgotten_with_the_next_response() -> None:
    """Also where it lies in the response to a request that nobody sends again."""
    learner = Learner()
    learner.learn(PLAIN)
    learner.learn(request(b"/v1/token", HOST, b"Connection: close"), closes=True)
    learner.vendor.issue(1)
    assert b"default-token-1" in learner.response_to(PLAIN)
    learner.rendered.clear()
    held = held_bytes(learner.fast_path, but=learner.parts_of_the_test)
    assert b"default-token-1" in held
    assert b"default-token-0" not in held


def test_a_response_that_ends_the_connection_says_so() -> None:
    learner = Learner()
    closing = request(b"/v1/token", HOST, b"Connection: close")
    learner.learn(PLAIN)
    learner.learn(closing, closes=True)
    ends = [
        (found.closes, b"\r\nConnection: close\r\n" in found.data)
        for found in map(learner.find, (PLAIN, closing))
        if found
    ]
    assert ends == [(False, False), (True, True)]


def test_the_responses_of_two_profiles_and_endpoints_are_kept_apart() -> None:
    """Also where one function renders all of them."""
    learner = Learner()
    other = AgingVendor("other", learner.clock)
    combinations = [(vendor, endpoint) for vendor in (learner.vendor, other) for endpoint in ENDPOINTS]
    for number, (vendor, endpoint) in enumerate(combinations):
        for _ in range(2):
            learner.fast_path.add(learner.key(numbered(number)), learner.render, vendor, endpoint)
    found = [learner.find(numbered(number)) for number in range(4)]
    assert [(each.vendor, each.endpoint) for each in found if each is not None] == combinations
    assert [b"other-token" in each.data for each in found if each is not None] == [False, False, True, True]


def test_the_oldest_of_too_many_known_requests_is_forgotten() -> None:
    learner = Learner()
    for number in range(MAX_ENTRIES + 1):
        learner.learn(numbered(number))
    assert learner.find(numbered(0)) is None
    assert all(learner.find(numbered(number)) is not None for number in range(1, MAX_ENTRIES + 1))


def test_requests_that_differ_each_time_do_not_take_more_and_more_memory() -> None:
    learner = Learner()
    for number in range(MAX_SEEN):
        learner.learn(numbered(number), times=1)
    full = len(held_bytes(learner.fast_path, but=learner.parts_of_the_test))
    for number in range(MAX_SEEN, 3 * MAX_SEEN):
        learner.learn(numbered(number), times=1)
    assert len(held_bytes(learner.fast_path, but=learner.parts_of_the_test)) <= full
    learner.learn(numbered(0), times=1)
    assert learner.find(numbered(0)) is None


def test_after_its_end_nothing_is_known_learned_or_held() -> None:
    learner = Learner()
    learner.learn(PLAIN)
    learner.fast_path.close()
    assert learner.find(PLAIN) is None
    learner.learn(PLAIN)
    assert learner.find(PLAIN) is None
    learner.rendered.clear()
    assert b"default-token" not in held_bytes(learner.fast_path, but=learner.parts_of_the_test)
