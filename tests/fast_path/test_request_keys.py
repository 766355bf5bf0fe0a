"""Which requests count as the same for the fast path: by their peer, and by every line that makes a difference."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from sidecar.web.server.known_requests import MAX_LINES, MAX_REQUEST_BYTES
from sidecar.web.server.request_parser import is_whole_head
from sidecar.web.server.socket_protocol import Peer, peer_of
from tests.fast_path.fast_path_alone import TCP, FastPathAlone
from tests.fast_path.requests import DROPPED_LINES, SIMILAR_LINES, USUAL, request, with_line
from tests.fast_path.transport import TcpPeer, UnixPeer

PLAIN = request(b"/v1/token", *USUAL)
PLACES = range(len(USUAL) + 1)
"""Before, between and after the other lines."""


def peer(of: TcpPeer | UnixPeer) -> Peer:
    return peer_of(asyncio.BaseTransport(dict(of.extra_info)))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (TcpPeer(50_000), TcpPeer(50_001), True),
        (TcpPeer(50_000), TcpPeer(50_000, "10.0.0.5"), False),
        (TcpPeer(50_000), TcpPeer(50_000, "::1"), False),
        (TcpPeer(50_000), UnixPeer(0), False),
        (UnixPeer(1000), UnixPeer(1000), True),
        (UnixPeer(1000), UnixPeer(1001), False),
        (UnixPeer(1), UnixPeer(11), False),
    ],
)
def test_a_request_is_known_from_peers_that_the_guards_do_not_distinguish(
    one: TcpPeer | UnixPeer, other: TcpPeer | UnixPeer, same: bool
) -> None:
    alone = FastPathAlone()
    alone.store(PLAIN, peer=peer(one))
    assert (alone.find(PLAIN, peer(other)) is not None) == same


def test_the_key_of_a_peer_and_request_is_not_that_of_another_peer_and_request() -> None:
    """The key of a peer and the bytes after it have only one boundary."""
    alone = FastPathAlone()
    keys = {
        alone.key(head, sender)
        for sender in (peer(TcpPeer(1)), peer(TcpPeer(1, "10.0.0.5")), peer(UnixPeer(1)), peer(UnixPeer(10)))
        for head in (PLAIN, b"0 " + PLAIN, b" " + PLAIN, b"tcp 127.0.0.1 " + PLAIN, b"unix 1 " + PLAIN)
    }
    assert len(keys) == 20


@pytest.mark.parametrize("line", DROPPED_LINES)
@pytest.mark.parametrize("place", PLACES)
def test_a_line_of_tracing_or_of_the_client_program_makes_no_difference(line: bytes, place: int) -> None:
    alone = FastPathAlone()
    assert alone.key(with_line(PLAIN, line, place)) == alone.key(PLAIN)


@pytest.mark.parametrize("line", DROPPED_LINES)
def test_a_request_with_such_a_line_before_it_or_after_it_is_unknown(line: bytes) -> None:
    alone = FastPathAlone()
    alone.store(PLAIN)
    assert alone.find(with_line(PLAIN, line, 1)) is not None
    for before, after in product((b"", b"\r\n", line + b"\r\n", b"\r\n" + line + b"\r\n"), repeat=2):
        for end in (b"", b"\r\n", line, b"\r\n\r\n"):
            segment = before + PLAIN + after + end
            assert segment == PLAIN or alone.find(segment) is None, segment


def test_several_such_lines_make_no_difference() -> None:
    alone, head = FastPathAlone(), PLAIN
    for line in DROPPED_LINES:
        head = with_line(head, line, 1)
    assert alone.key(head) == alone.key(PLAIN)
    assert alone.key(with_line(with_line(PLAIN, b"b3: 0", 0), b"b3: 1", 1)) == alone.key(PLAIN)


@pytest.mark.parametrize("line", SIMILAR_LINES)
@pytest.mark.parametrize("place", PLACES)
def test_a_similar_line_makes_a_difference(line: bytes, place: int) -> None:
    """Whether a guard or aiohttp would refuse it or not: lines that are not in the one strict form are not parsed."""
    alone = FastPathAlone()
    assert alone.fast_path.key_of(with_line(PLAIN, line, place), TCP) != alone.key(PLAIN)


ENDS = (b"\r\n x", b"\r\n\tx", b"\r\n ", b" ", b"\t", b"\r", b"\x00", b"\xff")


@pytest.mark.parametrize(
    ("line", "end"),
    # The name of a client program may contain spaces, so it may end in one.
    [(line, end) for line, end in product(DROPPED_LINES, ENDS) if not (line.startswith(b"User-Agent") and end == b" ")],
)
def test_a_line_that_is_continued_or_ends_in_another_way_makes_a_difference(line: bytes, end: bytes) -> None:
    alone = FastPathAlone()
    heads = (with_line(PLAIN, line + end, place) for place in PLACES)
    assert alone.key(PLAIN) not in [alone.fast_path.key_of(head, TCP) for head in heads]


@pytest.mark.parametrize("line", DROPPED_LINES)
def test_the_content_of_a_line_that_is_continued_makes_a_difference(line: bytes) -> None:
    """None of it is dropped, the line before the continuation included."""
    alone = FastPathAlone()
    for end in (b"\r\n x", b"\r\n\tx"):
        one, other = (alone.fast_path.key_of(with_line(PLAIN, line + more + end, 1), TCP) for more in (b"", b"0"))
        assert one is None or one != other


@pytest.mark.parametrize("name", [b"Via", b"X-Forwarded-For", b"X-Real-IP", b"Origin", b"Host", b"Sec-Fetch-Site",
                                  b"Sidecar-Request", b"Sidecar-Token", b"Authorization", b"If-None-Match", b"Accept",
                                  b"Connection", b"Content-Length", b"Transfer-Encoding", b"Upgrade", b"Expect",
                                  b"Forwarded"])  # fmt: skip
def test_a_line_that_guards_endpoints_or_the_server_read_makes_a_difference(name: bytes) -> None:
    alone = FastPathAlone()
    for value, place in product((b"1", b"true", b"b3: 1", b"localhost", b"0"), PLACES):
        head = with_line(PLAIN, name + b": " + value, place)
        assert alone.fast_path.key_of(head, TCP) != alone.key(PLAIN)
        assert alone.fast_path.key_of(with_line(head, b"b3: 1", place), TCP) != alone.key(PLAIN)


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (PLAIN, True), (PLAIN[:-1], False), (PLAIN[:-2], False), (PLAIN + b"G", False), (PLAIN * 2, False),
        (b"\r\n" + PLAIN, False), (b"\r\n\r\n", False), (b"", False), (PLAIN + b"\r\n", False),
        (PLAIN.replace(b"\r\n", b"\n"), False), (PLAIN.replace(b"\r\nHost", b"\nHost"), False),
        (PLAIN.replace(b"localhost", b"local\nhost"), False),
    ],
)  # fmt: skip
def test_only_one_whole_head_is_looked_up(data: bytes, whole: bool) -> None:
    assert is_whole_head(data, 1000) == whole


def test_a_head_beyond_the_limit_is_not_looked_up() -> None:
    """Its last, empty line does not count."""
    assert is_whole_head(PLAIN, len(PLAIN) - 2)
    assert not is_whole_head(PLAIN, len(PLAIN) - 3)


def test_a_head_with_left_out_lines_beyond_the_limit_is_not_found() -> None:
    """Its last, empty line does not count."""
    alone, longer = FastPathAlone(max_head_bytes=len(PLAIN)), with_line(PLAIN, b"b3: 123", 0)
    alone.store(PLAIN)
    assert alone.find(longer) is None
    limit = FastPathAlone(max_head_bytes=len(longer) - 2)
    limit.store(PLAIN)
    assert limit.find(longer) is not None


ONE_USER_AGENT = (
    b"User-Agent: a", b"user-agent: a", b"User-Agent:a", b"User-Agent:  a", b"User-Agent: a\t", b"User-Agent: \xe9",
    b"User-Agent: " + b"a" * 600, b"User-Agent:", b"User-Agent: a\r\n b",
)  # fmt: skip


def test_several_client_programs_never_count_as_one_or_none() -> None:
    """aiohttp refuses such a request, whatever the forms of the lines."""
    alone = FastPathAlone()
    known = {alone.fast_path.key_of(PLAIN, TCP)}
    known |= {alone.fast_path.key_of(with_line(PLAIN, line, place), TCP) for line in ONE_USER_AGENT for place in PLACES}
    alone.store(PLAIN)
    for line in ONE_USER_AGENT:
        named = with_line(PLAIN, line, 0)
        # From the third time on it is found with its name, if it is found at all.
        assert len({alone.find(named) is None for _ in range(4)}) == 1
    for first, second in product(ONE_USER_AGENT, repeat=2):
        for place, next_place in product(PLACES, repeat=2):
            head = with_line(with_line(PLAIN, first, place), second, next_place)
            key = alone.fast_path.key_of(head, TCP)
            assert key is None or key not in known, (first, second)
            assert alone.find(head) is None, (first, second)
            assert alone.find(with_line(head, b"b3: 1", 1)) is None, (first, second)


def test_a_request_of_too_many_bytes_or_lines_is_never_known() -> None:
    """Lines that make no difference count, too: aiohttp counts them."""
    alone = FastPathAlone()
    longest = with_line(PLAIN, b"X-Request-Id: 1", 0)
    longest = with_line(longest, b"X: " + b"a" * (MAX_REQUEST_BYTES - len(longest) - len(b"X: \r\n")), 0)
    assert len(longest) == MAX_REQUEST_BYTES
    assert alone.fast_path.key_of(longest, TCP) is not None
    assert alone.fast_path.key_of(longest.replace(b"a", b"aa", 1), TCP) is None
    many = PLAIN
    while many.count(b"\n") < MAX_LINES:
        many = with_line(many, b"b3: 1", 0)
    assert alone.key(many) == alone.key(PLAIN)
    assert alone.fast_path.key_of(with_line(many, b"b3: 1", 0), TCP) is None


def test_a_line_that_is_too_long_to_be_dropped_makes_a_difference() -> None:
    alone = FastPathAlone()
    for name, most in ((b"X-Request-Id", 512), (b"User-Agent", 512), (b"traceparent", 512)):
        line = name + b": " + b"1" * most
        assert alone.key(with_line(PLAIN, line, 0)) == alone.key(PLAIN)
        assert alone.fast_path.key_of(with_line(PLAIN, line + b"1", 0), TCP) != alone.key(PLAIN)


LINE_ENDS = {
    "after the end": (PLAIN + b"b3: 1\r\n", PLAIN + b"b3: 1\r\n\r\n", PLAIN + b"\r\nb3: 1\r\n\r\n"),
    "before the request line": (b"\r\nb3: 1\r\n" + PLAIN, b"b3: 1\r\n" + PLAIN),
    "in the request line": (PLAIN.replace(b" HTTP", b"\r\nb3: 1\r\n HTTP"), PLAIN.replace(b"/v1", b"/\r\nb3: 1\r\nv1")),
    "in a value": (
        PLAIN.replace(b"localhost", b"local\r\nb3: 1\r\nhost"),
        PLAIN.replace(b"localhost", b"localhost b3: 1"),
    ),
    "after another line end": (PLAIN.replace(b"localhost", b"localhost\nb3: 1"), with_line(PLAIN, b"X: 1\nb3: 1", 0)),
}  # fmt: skip


@pytest.mark.parametrize("where", LINE_ENDS)
def test_such_a_line_is_dropped_only_where_it_is_a_header_line(where: str) -> None:
    alone = FastPathAlone()
    for head in LINE_ENDS[where]:
        assert alone.fast_path.key_of(head, TCP) != alone.key(PLAIN)
