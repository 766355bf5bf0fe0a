"""Raw requests to a gateway: one request at most comes out of one, only from the list, and no secret comes back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from sidecar.core.allow_list import AllowList, read_rule
from tests.integration import gateway_requests, raw_requests
from tests.integration.gateway_requests.cases import get
from tests.integration.gateway_requests.checks import check_case, play
from tests.integration.gateway_requests.conversations import ALLOW, check_conversation
from tests.integration.gateway_requests.planted import PLANTED
from tests.integration.gateway_requests.random_targets import random_target
from tests.integration.gateway_requests.service import RunningGateway, caller_token_file, running_gateway

_EACH = 7
"""Of the conversations that differ only in where they are cut, each so many-th is played."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with the list of the preset, whose callers need the caller token."""
    folder = tmp_path_factory.mktemp("gateway")
    with running_gateway(folder, CALLER_TOKEN_FILE=caller_token_file(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def like_vending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that forwards the paths of the vending API."""
    with running_gateway(tmp_path_factory.mktemp("gateway"), GATEWAY_ALLOW=ALLOW) as running:
        yield running


@pytest.mark.parametrize("family", gateway_requests.FAMILIES)
def test_one_request_at_most_comes_out_of_one(gateway: RunningGateway, family: str) -> None:
    for name, case in gateway_requests.FAMILIES[family].items():
        try:
            check_case(gateway, case)
        except AssertionError as error:
            error.add_note(name)
            raise


@pytest.mark.parametrize("family", raw_requests.FAMILIES)
def test_the_corpus_of_the_vending_listener_passes_only_where_it_may(like_vending: RunningGateway, family: str) -> None:
    for name, conversations in raw_requests.FAMILIES[family].items():
        for conversation in conversations[::_EACH]:
            try:
                check_conversation(like_vending, conversation)
            except AssertionError as error:
                error.add_note(f"{name}: {conversation.data!r}")
                raise


def test_the_partner_gets_the_target_that_the_list_saw_byte_for_byte(gateway: RunningGateway) -> None:
    """And nothing where the list says no."""
    allow = AllowList([read_rule("GET /api/pay1st/*")], ["/api/pay1st/auth", "/api/distributors/auth"])
    chance, passed = random.Random(1), 0
    for _ in range(1000):
        target = random_target(chance)
        (described,), received = play(gateway, [get(target).data], 1)
        allowed = allow.allows("GET", target.decode("latin-1"))
        # Without a query, aiohttp's client leaves the question mark out.
        expected = [target.removesuffix(b"?") if target.count(b"?") == 1 else target] if allowed else []
        assert [one.target.encode("latin-1") for one in received] == expected, (target, described)
        passed += allowed
    assert 200 < passed < 800


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    planted, folder = PLANTED[fault], tmp_path_factory.mktemp("gateway")
    case = gateway_requests.FAMILIES[planted.family][planted.case]
    with (
        pytest.raises(AssertionError),
        patch.object(planted.owner, planted.name, planted.broken),
        running_gateway(folder, CALLER_TOKEN_FILE=caller_token_file(folder)) as running,
    ):
        check_case(running, case)


@pytest.mark.parametrize(
    ("fault", "family", "name"),
    [
        ("the guards accept all", "pipelining", "no required header between"),
        ("a chunked request is not the last", "trailers", "required header, report, before a later segment"),
    ],
)
def test_a_planted_fault_is_found_by_the_corpus_of_the_vending_listener(
    tmp_path_factory: pytest.TempPathFactory, fault: str, family: str, name: str
) -> None:
    planted = PLANTED[fault]
    (conversation,) = raw_requests.FAMILIES[family][name]
    with (
        pytest.raises(AssertionError),
        patch.object(planted.owner, planted.name, planted.broken),
        running_gateway(tmp_path_factory.mktemp("gateway"), GATEWAY_ALLOW=ALLOW) as running,
    ):
        check_conversation(running, conversation)


def test_each_family_has_a_planted_fault() -> None:
    assert {planted.family for planted in PLANTED.values()} == set(gateway_requests.FAMILIES)
