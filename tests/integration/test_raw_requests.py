"""The corpus of raw conversations, at each listener, with the fast path on and off.

`test_web_parsers.py` runs this file once more with the parser that is written in Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from unittest.mock import patch

import pytest

from tests.fuzz.requests_read import Request, requests_read
from tests.integration.raw_requests import FAMILIES
from tests.integration.raw_requests.checks import check
from tests.integration.raw_requests.common_requests import ALL_READY, KNOWN, head
from tests.integration.raw_requests.conversation import (
    LISTENERS,
    READ,
    Conversation,
    ListenerKind,
    Segment,
    expect_everywhere,
)
from tests.integration.raw_requests.planted import PLANTED
from tests.integration.raw_requests.services import Services, running_services
from tests.support.replica import until

_TOKEN = re.compile("200 (token|text|header|grant) ")
_OWN_AUTHORITY = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?/", re.IGNORECASE)


def _cases() -> Iterator[object]:
    for family, conversations in FAMILIES.items():
        for name in conversations:
            yield pytest.param(family, name, id=f"{family}: {name}")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with running_services(tmp_path_factory.mktemp("raw")) as running:
        yield running


@pytest.mark.parametrize(("family", "name"), list(_cases()))
def test_each_request_gets_its_own_answer_and_no_other(services: Services, family: str, name: str) -> None:
    """At each listener: a test for each of them would cost more than what it plays."""
    for listener, (number, conversation) in product(LISTENERS, enumerate(FAMILIES[family][name])):
        try:
            check(services, conversation, listener)
        except AssertionError as error:
            error.add_note(f"conversation {number} at {listener}: {conversation.steps_at(listener)}")
            raise


def test_the_admin_listener_takes_a_target_in_absolute_form(services: Services) -> None:
    """As every server must (RFC 9112 section 3.2.2)."""
    sent = Segment(head(b"GET http://localhost/startupz HTTP/1.1", b"Host: localhost"), expect_everywhere(ALL_READY))
    check(services, Conversation.of(sent), "admin")


@pytest.mark.parametrize("listener", ["tcp", "unix"])
def test_the_fast_path_answers_what_it_knows(services: Services, listener: ListenerKind) -> None:
    """Otherwise the comparison with the fast path off would compare the same code."""
    conversation = Conversation.of(KNOWN, READ, KNOWN)
    before = len(services.fast_responses)
    check(services, conversation, listener)
    assert services.fast_responses[before:].count(KNOWN.data) >= 2 * conversation.plays


HANGS = "halves of requests are forgotten"
"""A hang is found after as long as it may last."""


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=[pytest.mark.slow] if fault == HANGS else []) for fault in PLANTED]
)
def test_a_planted_fault_is_found(fault: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    planted = PLANTED[fault]
    (conversation,) = FAMILIES[planted.family][planted.conversation]
    with (
        pytest.raises(AssertionError),
        patch.object(planted.owner, planted.name, planted.broken),
        running_services(tmp_path_factory.mktemp("raw")) as services,
    ):
        check(services, conversation, "tcp")


def test_each_family_has_a_planted_fault() -> None:
    assert {planted.family for planted in PLANTED.values()} == set(FAMILIES)


def _passes_every_guard(request: Request) -> bool:
    is_own = request.target.startswith("/") or _OWN_AUTHORITY.match(request.target) is not None
    return request.is_direct and request.has_header and is_own


@pytest.mark.parametrize("family", FAMILIES)
def test_no_token_is_expected_where_a_guard_is_not_passed(family: str) -> None:
    """By a second reading of what is sent: the expected responses themselves may be wrong."""
    vended = 0
    for name, conversations in FAMILIES[family].items():
        for conversation in conversations:
            requests = list(requests_read(conversation.data))
            for number, text in enumerate(conversation.expected("tcp")):
                if _TOKEN.match(text):
                    assert _passes_every_guard(requests[number]), (name, number)
                    vended += 1
    assert vended > 0


async def test_no_connection_is_left(services: Services) -> None:
    await until(lambda: services.on.connections() + services.off.connections() == 0)
