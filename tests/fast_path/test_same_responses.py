"""Both ways do the same for any data of clients, in any pieces and order, and for any change of the token."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any
from unittest.mock import patch

import pytest
from aiohttp import web_protocol
from hypothesis import HealthCheck, given, settings

from tests.fast_path.configurations import CONFIGURATIONS, Configuration
from tests.fast_path.requests import DROPPED_LINES, SIMILAR_LINES, TRACEPARENTS, with_line
from tests.fast_path.steps import (
    ChangeToken,
    Drain,
    IssueToken,
    Reconnect,
    Repeat,
    RotateCallerTokens,
    Send,
    SendAtOnce,
    SendOnResponse,
    Step,
    StoreResponses,
    run_steps,
)
from tests.fast_path.strategies import steps
from tests.fuzz.conversation import PARSERS

EXAMPLES = {"aiohttp._http_parser": 320, "aiohttp.http_parser": 160}
"""For each configuration, by the module of aiohttp's parser."""
FIRST_EXAMPLES = 80
"""For each configuration, in the first tier."""
FAST_SHARE = 0.25
"""This share of all tokens must come from the fast path. Otherwise the comparison would prove little."""
BOTH_PARSERS = pytest.mark.parametrize(
    "parser", PARSERS, ids=lambda parser: parser.__module__.rpartition(".")[2], indirect=True
)
EACH_CONFIGURATION = pytest.mark.parametrize("name", CONFIGURATIONS)


@pytest.fixture
def parser(request: pytest.FixtureRequest) -> Iterator[type[Any]]:
    """aiohttp's parser for all connections of the test."""
    with patch.object(web_protocol, "HttpRequestParser", request.param):
        yield request.param


def with_parser(test: Any) -> Any:  # noqa: ANN401 - a decorator of pytest
    c, *python = PARSERS
    one_each = [c, *(pytest.param(parser, marks=pytest.mark.slow) for parser in python)]
    ids = [parser.__module__.rpartition(".")[2] for parser in PARSERS]
    return pytest.mark.parametrize("parser", one_each, ids=ids, indirect=True)(test)


@EACH_CONFIGURATION
def test_steps_at_random_do_the_same_on_both_ways(name: str) -> None:
    run_at_random(CONFIGURATIONS[name], FIRST_EXAMPLES)


@pytest.mark.slow
@BOTH_PARSERS
@EACH_CONFIGURATION
def test_many_steps_at_random_do_the_same_on_both_ways(name: str, parser: type[Any]) -> None:
    run_at_random(CONFIGURATIONS[name], EXAMPLES[parser.__module__])


def run_at_random(configuration: Configuration, examples: int) -> None:
    responses = fast_responses = 0

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(steps(configuration))
    def compare(made: list[Step]) -> None:
        nonlocal responses, fast_responses
        outcome = run_steps(configuration, [StoreResponses(), *made])
        responses += outcome.responses
        fast_responses += outcome.fast_responses

    compare()
    assert fast_responses >= FAST_SHARE * responses > 0


@with_parser
@EACH_CONFIGURATION
def test_each_request_is_answered_in_the_same_way_each_time(name: str, parser: type[Any]) -> None:
    """Each client sends it, also after another request, and then a known one, on one connection and in one segment."""
    configuration = CONFIGURATIONS[name]
    known, second, third = configuration.known[:3]
    clients = range(len(configuration.peers))
    made: list[Step] = [StoreResponses()]
    for request in (*configuration.known, *configuration.other):
        made += [Repeat(client, request, 3) for client in (*clients, *clients)]
        for client in clients:
            made += [
                Repeat(client, known, 2),
                Send(client, (second + request, request + known)),
                SendAtOnce(((client, known), (client, request), (client, third))),
                SendOnResponse(client, request, known),
                Reconnect(client),
            ]
    outcome = run_steps(configuration, made)
    assert outcome.fast_responses >= FAST_SHARE * outcome.responses > 0


@with_parser
@EACH_CONFIGURATION
def test_a_request_that_comes_while_another_is_answered_is_not_stored_as_that(name: str, parser: type[Any]) -> None:
    """Neither is known before; the first one's key must not find the second one's response."""
    configuration = CONFIGURATIONS[name]
    for one, other in permutations(configuration.known[:5], 2):
        together = SendAtOnce(((0, one), (0, other)))
        made: list[Step] = [together, Reconnect(0), together, Reconnect(0), Repeat(0, one, 3), Repeat(0, other, 3)]
        assert run_steps(configuration, made).fast_responses > 0


@EACH_CONFIGURATION
def test_each_known_request_is_answered_from_the_fast_path(name: str) -> None:
    configuration = CONFIGURATIONS[name]
    for request in configuration.known:
        outcome = run_steps(configuration, [Repeat(0, request, 5), Reconnect(0), Repeat(0, request, 5)])
        assert (outcome.responses, outcome.fast_responses) == (10, 8)


@with_parser
@pytest.mark.parametrize("name", ["plain", "audit and spans"])
def test_requests_with_an_added_line_are_answered_in_the_same_way(name: str, parser: type[Any]) -> None:
    configuration = CONFIGURATIONS[name]
    known = configuration.known[0]
    made: list[Step] = [StoreResponses()]
    for line in (*DROPPED_LINES, *SIMILAR_LINES, *TRACEPARENTS):
        for place in range(3):
            made += [Repeat(0, with_line(known, line, place), 3), Repeat(0, known, 1)]
            made += [Repeat(1, with_line(with_line(known, line, place), other, 1), 2) for other in DROPPED_LINES[::5]]
    outcome = run_steps(configuration, made)
    assert outcome.fast_responses >= FAST_SHARE * outcome.responses > 0


@with_parser
@pytest.mark.parametrize("name", ["plain", "caller tokens", "forward auth"])
def test_a_known_request_may_come_in_two_pieces_wherever_it_is_cut(name: str, parser: type[Any]) -> None:
    configuration = CONFIGURATIONS[name]
    for request in configuration.known[:2]:
        made: list[Step] = [StoreResponses()]
        for place in range(1, len(request)):
            first, second = request[:place], request[place:]
            made += [
                Reconnect(0),
                Send(0, (request, first, second, request)),
                Reconnect(0),
                Send(0, (request + first, second + first, second)),
                Reconnect(0),
                SendAtOnce(((0, request), (0, first), (1, request), (0, second), (0, request))),
            ]
        assert run_steps(configuration, made).fast_responses >= len(request)


def counted(name: str, *made: Step) -> int:
    return run_steps(CONFIGURATIONS[name], made).fast_responses


def first(name: str) -> tuple[Configuration, bytes]:
    configuration = CONFIGURATIONS[name]
    return configuration, configuration.known[0]


def test_requests_stay_known_after_a_new_token() -> None:
    _, known = first("plain")
    made: list[Step] = [
        Repeat(0, known, 3),
        IssueToken(1),
        Repeat(0, known, 2),
        ChangeToken("copy"),
        Repeat(0, known, 2),
    ]
    assert counted("plain", *made) == 5


def test_without_a_good_token_all_requests_take_the_long_way() -> None:
    _, known = first("plain")
    for change in ("mark_suspect", "withdraw"):
        assert counted("plain", Repeat(0, known, 3), ChangeToken(change), Repeat(0, known, 3)) == 1


def test_after_a_rotation_a_request_has_to_be_stored_again() -> None:
    configuration, known = first("caller tokens")
    rotate = RotateCallerTokens(tuple(configuration.caller_tokens))
    assert counted("caller tokens", Repeat(0, known, 5), rotate, Repeat(0, known, 5)) == 6


def test_a_draining_listener_has_no_fast_path() -> None:
    _, known = first("plain")
    assert counted("plain", Repeat(0, known, 3), Drain(), Repeat(0, known, 4)) == 1
