"""What the fast path stores, and for how long: requests seen twice, and responses that are still valid."""

from __future__ import annotations

import pytest

from sidecar.core.process_events import Endpoint
from sidecar.web.server.known_requests import MAX_ENTRIES, MAX_SEEN, KnownRequests
from tests.fast_path.aging_provider import ISSUED_AT, LIFE_S, AgingProvider
from tests.fast_path.fast_path_alone import WALL_STEP_S, FastPathAlone
from tests.fast_path.held_bytes import held_bytes
from tests.fast_path.requests import HOST, request

ENDPOINTS: tuple[Endpoint, ...] = ("token", "authorize")
CANARY = b"canary-caller-token-0e6f"
PLAIN = request(b"/v1/token", HOST)
NOW = "Thu, 01 Jan 2026 00:00:00 GMT"


def numbered(number: int) -> bytes:
    return request(b"/v1/authorize/default/%d" % number, HOST)


def test_a_request_that_was_seen_once_is_unknown_and_one_that_was_seen_twice_is_known() -> None:
    alone = FastPathAlone()
    alone.store(PLAIN, times=1)
    assert alone.find(PLAIN) is None
    alone.store(PLAIN, times=1)
    response = alone.response_to(PLAIN)
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"\r\nDate: {NOW}\r\n".encode() in response
    assert response.endswith(b'\r\n\r\n{"token":"default-token-0","left":899,"since":1767225600.5625}')
    assert [code for code, _ in alone.tally.counted] == ["ok"]


def test_other_bytes_are_another_request() -> None:
    alone = FastPathAlone()
    alone.store(PLAIN)
    for other in (PLAIN + b" ", PLAIN[:-1], PLAIN.replace(b"H", b"h"), request(b"/v1/token/", HOST)):
        assert alone.find(other) is None


def test_the_key_of_a_request_is_a_digest_with_a_key_of_the_process() -> None:
    one, other = FastPathAlone(), FastPathAlone()
    assert one.key(PLAIN) == one.key(PLAIN) != other.key(PLAIN)
    assert len(one.key(PLAIN).digest) == len(one.key(PLAIN * 9).digest) == 16


def test_nothing_of_a_request_is_held() -> None:
    alone = FastPathAlone(audit=True, spans=True)
    for line in (b"Authorization: Bearer ", b"Sidecar-Token: ", b"X-Request-Id: ", b"User-Agent: ", b"Cookie: "):
        head = request(b"/v1/authorize/default/" + CANARY, HOST, line + CANARY)
        alone.store(head)
        alone.response_to(head)
        alone.store(head.replace(b"\r\n\r\n", b"\r\nX-Once: " + CANARY + b"\r\n\r\n"), times=1)
    held = held_bytes(alone.fast_path, but=alone.parts_of_the_test)
    assert b"default-token-0" in held
    assert b"HTTP/1.1 200 OK" in held
    assert CANARY not in held


def test_the_search_for_held_requests_finds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KnownRequests, "_digest", lambda _self, read, _peer: read)
    alone = FastPathAlone()
    alone.store(request(b"/v1/token", b"Authorization: Bearer " + CANARY))
    assert CANARY in held_bytes(alone.fast_path, but=alone.parts_of_the_test)


def test_a_response_is_rendered_once_while_it_is_valid() -> None:
    alone = FastPathAlone()
    alone.store(PLAIN)
    for _ in range(3):
        alone.response_to(PLAIN)
    assert len(alone.rendered) == 1


@pytest.mark.parametrize("passed_s", [0.03125, 0.0625, 0.5, 0.59375, 0.625, 0.65625, 1.0, 1.5, 3600.25])
def test_a_response_follows_the_seconds_of_both_clocks(passed_s: float) -> None:
    """`expiresIn` changes with the age of the token, `Date` with the wall clock."""
    alone = FastPathAlone()
    alone.store(PLAIN)
    alone.clock.passed_s = passed_s
    response = alone.response_to(PLAIN)
    left_s = max(1, int(LIFE_S + ISSUED_AT - passed_s))
    assert f'"left":{left_s},'.encode() in response
    minutes, seconds = divmod(int(WALL_STEP_S + passed_s), 60)
    assert f"Date: Thu, 01 Jan 2026 {minutes // 60:02}:{minutes % 60:02}:{seconds:02} GMT".encode() in response


@pytest.mark.parametrize("step_s", [-86_400, -20, -1.5, -1.0625, -0.5, 0.5, 1.0625, 1.5, 20, 86_400])
@pytest.mark.parametrize("passed_s", [0.0, 0.25, 0.5, 0.59375])
def test_a_response_follows_the_wall_clock_when_it_is_set(step_s: float, passed_s: float) -> None:
    """The token's remaining lifetime stays the same. The timestamps change, also if the second of `Date` does not."""
    alone, other = FastPathAlone(), FastPathAlone()
    alone.store(PLAIN)
    for each in (alone, other):
        each.clock.wall_step_s += step_s
        each.clock.passed_s += passed_s
    other.store(PLAIN)
    assert alone.response_to(PLAIN) == other.response_to(PLAIN)


@pytest.mark.parametrize("change", ["issue", "copy"])
def test_a_response_follows_the_token_without_being_stored_again(change: str) -> None:
    alone = FastPathAlone()
    alone.store(PLAIN)
    before = alone.response_to(PLAIN)
    alone.rendered.clear()
    if change == "issue":
        alone.provider.issue(1)
    else:
        alone.provider.copy()
    after = alone.response_to(PLAIN)
    assert [vended.token for vended in alone.rendered] == [alone.provider._token]
    assert alone.rendered[0].token is alone.provider._token
    assert (b"default-token-1" in after, after == before) == (change == "issue", change == "copy")


@pytest.mark.parametrize("change", ["mark_suspect", "withdraw"])
def test_without_a_good_token_requests_are_not_answered_and_with_the_next_one_they_are(change: str) -> None:
    alone = FastPathAlone()
    alone.store(PLAIN)
    getattr(alone.provider, change)()
    assert alone.find(PLAIN) is None
    assert alone.tally.counted == []
    alone.provider.issue(1)
    assert b"default-token-1" in alone.response_to(PLAIN)


def test_under_another_version_of_the_caller_tokens_a_request_is_unknown() -> None:
    """Also under an equal one, and when the first one comes back: the guards have to check the request again."""
    alone = FastPathAlone()
    alone.rotate("caller-token-one")
    first = alone.caller_tokens
    alone.store(PLAIN)
    alone.response_to(PLAIN)
    alone.rotate("caller-token-one")
    assert alone.find(PLAIN) is None
    alone.caller_tokens = first
    assert alone.find(PLAIN) is None
    alone.store(PLAIN)
    alone.response_to(PLAIN)


def test_a_request_that_passed_the_guards_under_the_previous_version_is_unknown() -> None:
    """The rotation came between the guards' check and the end of the response."""
    alone = FastPathAlone()
    alone.rotate("caller-token-one")
    alone.store(PLAIN)
    alone.rotate("caller-token-two")
    assert alone.find(PLAIN) is None


def test_a_replaced_token_is_removed_with_the_next_response() -> None:
    """Also from the response to a request that is not sent again."""
    alone = FastPathAlone()
    alone.store(PLAIN)
    alone.store(request(b"/v1/token", HOST, b"Connection: close"), closes=True)
    alone.provider.issue(1)
    assert b"default-token-1" in alone.response_to(PLAIN)
    alone.rendered.clear()
    held = held_bytes(alone.fast_path, but=alone.parts_of_the_test)
    assert b"default-token-1" in held
    assert b"default-token-0" not in held


def test_a_response_that_ends_the_connection_has_the_header_for_that() -> None:
    alone = FastPathAlone()
    closing = request(b"/v1/token", HOST, b"Connection: close")
    alone.store(PLAIN)
    alone.store(closing, closes=True)
    ends = [
        (found.closes, b"\r\nConnection: close\r\n" in found.data)
        for found in map(alone.find, (PLAIN, closing))
        if found
    ]
    assert ends == [(False, False), (True, True)]


def test_the_responses_of_two_profiles_and_endpoints_are_separate() -> None:
    """Also where one function renders all of them."""
    alone = FastPathAlone()
    other = AgingProvider("other", alone.clock)
    combinations = [(provider, endpoint) for provider in (alone.provider, other) for endpoint in ENDPOINTS]
    for number, (provider, endpoint) in enumerate(combinations):
        for _ in range(2):
            alone.fast_path.add(alone.key(numbered(number)), alone.render, provider, endpoint)
    found = [alone.find(numbered(number)) for number in range(4)]
    assert [(each.provider, each.endpoint) for each in found if each is not None] == combinations
    assert [b"other-token" in each.data for each in found if each is not None] == [False, False, True, True]


def test_the_oldest_of_too_many_known_requests_is_removed() -> None:
    alone = FastPathAlone()
    for number in range(MAX_ENTRIES + 1):
        alone.store(numbered(number))
    assert alone.find(numbered(0)) is None
    assert all(alone.find(numbered(number)) is not None for number in range(1, MAX_ENTRIES + 1))


def test_requests_that_differ_each_time_take_bounded_memory() -> None:
    alone = FastPathAlone()
    for number in range(MAX_SEEN):
        alone.store(numbered(number), times=1)
    full = len(held_bytes(alone.fast_path, but=alone.parts_of_the_test))
    for number in range(MAX_SEEN, 3 * MAX_SEEN):
        alone.store(numbered(number), times=1)
    assert len(held_bytes(alone.fast_path, but=alone.parts_of_the_test)) <= full
    alone.store(numbered(0), times=1)
    assert alone.find(numbered(0)) is None


def test_after_its_end_the_fast_path_finds_stores_and_holds_nothing() -> None:
    alone = FastPathAlone()
    alone.store(PLAIN)
    alone.fast_path.close()
    assert alone.find(PLAIN) is None
    alone.store(PLAIN)
    assert alone.find(PLAIN) is None
    alone.rendered.clear()
    assert b"default-token" not in held_bytes(alone.fast_path, but=alone.parts_of_the_test)
