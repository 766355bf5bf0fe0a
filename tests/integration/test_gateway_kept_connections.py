"""A connection to the partner that is kept: what comes on it unasked is never the response to the next request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.gateway_requests.cases import CREATE, PATH, get, post
from tests.integration.gateway_requests.checks import play
from tests.integration.gateway_requests.service import RunningGateway, caller_token_file, running_gateway

_HEAD = b"HTTP/1.1 %b\r\nContent-Length: 5\r\n\r\nstale"
UNASKED = {
    # Some load balancers send it before they close a connection on which nothing comes.
    "408": _HEAD % b"408 Request Timeout",
    "200": _HEAD % b"200 OK",
    "200, in part": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nst",
    "a part of a head": b"HTTP/1.1 200 OK\r\nX: ",
    "an interim response": b"HTTP/1.1 102 Processing\r\n\r\n",
    "two": _HEAD % b"200 OK" * 2,
    "no HTTP": b"stale",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with running_gateway(folder, CALLER_TOKEN_FILE=caller_token_file(folder)) as running:
        yield running


@pytest.mark.parametrize("unasked", UNASKED)
def test_what_comes_unasked_is_no_response(gateway: RunningGateway, unasked: str) -> None:
    gateway.partner.unasked = UNASKED[unasked]
    created = post(b"abc", b"Content-Length: 3", expected=f'POST {CREATE.decode()} "abc"')
    for case in (get(PATH, f"GET {PATH.decode()}"), created) * 2:
        described, _ = play(gateway, [case.data], 1)
        assert described == list(case.expected)
        for _ in range(3):
            gateway.loop.settle()


def test_a_connection_on_which_nothing_comes_is_kept(gateway: RunningGateway) -> None:
    gateway.partner.unasked = b""
    play(gateway, [get(PATH).data], 1)
    before = gateway.partner.connections
    for _ in range(3):
        play(gateway, [get(PATH).data], 1)
    assert gateway.partner.connections == before
