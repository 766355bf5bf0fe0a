"""After a 429 of the partner no replica calls it until the cool-down ends, whatever happens meanwhile."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from sidecar.core.model import Operation
from sidecar.sandbox.faults import Fault
from tests.support.processes import Fleet
from tests.support.replica import Answer, Replica, until

COOLDOWN_S = 8
DATE_GRAIN_S = 1
"""An HTTP date has whole seconds."""


@pytest.mark.parametrize("form", ["seconds", pytest.param("date", marks=pytest.mark.slow), "none"])
async def test_a_429_pauses_all_replicas_and_their_successors(fleet: Fleet, form: str) -> None:
    settings = {"COOLDOWN_S": str(COOLDOWN_S if form == "none" else 900), "PARTNER_TIMEOUT_S": "60", "POLL_S": "0.5"}
    fleet.partner_clock.free.clear()
    throttled = await fleet.start(2, **settings)
    await until(lambda: len(fleet.calls) == 1)
    forms = {"seconds": str(COOLDOWN_S), "date": formatdate(time.time() + COOLDOWN_S, usegmt=True), "none": None}
    fleet.sandbox.state.faults.add(Fault(fault="status", status=429, retry_after=forms[form]))
    throttled_at = fleet.now
    fleet.partner_clock.free.set()

    async def refused(replicas: list[Replica]) -> list[Answer]:
        """Return the responses of these replicas, or nothing if the cool-down ended meanwhile, as on a busy machine."""
        answers = [await replica.ask() for replica in replicas]
        return answers if fleet.now < throttled_at + COOLDOWN_S - DATE_GRAIN_S else []

    answers = await refused(throttled)
    for replica in throttled:
        await fleet.stop(replica)
    successors = await fleet.start(2, **settings)
    answers += await refused(successors)

    assert {(answer.status, answer.code) for answer in answers} <= {(503, "partner-cooling-down")}
    assert all(1 <= int(answer.headers["Retry-After"]) <= COOLDOWN_S for answer in answers)
    assert all(answer.body["partner"]["status"] == 429 for answer in answers)
    for replica in successors:
        await until(replica.ready)
    assert [call.status for call in fleet.calls] == [429, 200]
    assert fleet.calls[1].at_monotonic >= throttled_at + COOLDOWN_S - DATE_GRAIN_S


async def test_a_valid_token_is_served_through_a_cool_down(fleet: Fleet) -> None:
    """The 429 answers an early refresh: clients do not notice it, and one call ends the cool-down."""
    fleet.sandbox.state.faults.add(Fault(fault="status", status=429, retry_after="3", operation=Operation.REFRESH))
    replicas = await fleet.ready(2, TOKEN_LIFETIME_S="60", REFRESH_AT="0.1", PARTNER_TIMEOUT_S="2", POLL_S="0.5")
    answers: list[Answer] = []

    async def over() -> bool:
        answers.extend([await replica.ask() for replica in replicas])
        return len(fleet.issued) == 2

    await until(over)
    assert {answer.token_id for answer in answers} <= set(fleet.issued)
    assert not any("suspect" in answer.body for answer in answers)
    assert [call.status for call in fleet.calls] == [200, 429, 200]
    assert fleet.gaps_s[1] >= 3
