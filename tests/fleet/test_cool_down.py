"""The partner says 429: everybody waits, whatever happens meanwhile."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from sidecar.partner.sandbox.faults import Fault
from tests.fakes.processes import Fleet
from tests.fakes.replica import until

COOLDOWN_S = 6
NOISE_S = 6
DATE_GRAIN_S = 1
"""An HTTP date has whole seconds."""


@pytest.mark.parametrize("form", ["seconds", "date", "none"])
async def test_a_429_is_kept_by_all_replicas_and_their_successors(fleet: Fleet, form: str) -> None:
    forms = {"seconds": str(COOLDOWN_S), "date": formatdate(time.time() + COOLDOWN_S, usegmt=True), "none": None}
    fleet.sandbox.state.faults.add(Fault(fault="status", status=429, retry_after=forms[form]))
    settings = {"COOLDOWN_S": str(COOLDOWN_S if form == "none" else 900), "POLL_S": "0.5"}
    throttled = await fleet.start(2, **settings)
    await until(lambda: len(fleet.calls) == 1, NOISE_S)

    refused = [await replica.ask() for replica in throttled]
    for replica in throttled:
        await fleet.stop(replica, 0)
    successors = await fleet.start(2, **settings)
    refused += [await replica.ask() for replica in successors]

    assert [(answer.status, answer.code) for answer in refused] == [(503, "partner-cooling-down")] * 4
    assert all(1 <= int(answer.headers["Retry-After"]) <= COOLDOWN_S for answer in refused)
    assert refused[0].body["partner"]["status"] == 429
    assert len(fleet.calls) == 1
    for replica in successors:
        await until(replica.ready, COOLDOWN_S + NOISE_S)
    assert [call.status for call in fleet.calls] == [429, 200]
    assert fleet.gaps_s[0] >= COOLDOWN_S - DATE_GRAIN_S - 0.5


async def test_a_valid_token_is_served_through_a_cool_down(fleet: Fleet) -> None:
    """The 429 comes to a refresh ahead: nobody who asks notices, and one call ends it."""
    replicas = await fleet.ready(2, TOKEN_LIFETIME_S="40", REFRESH_AT="0.1", PARTNER_TIMEOUT_S="2", POLL_S="0.5")
    token_id = (await replicas[0].ask()).token_id
    fleet.sandbox.state.faults.add(Fault(fault="status", status=429, retry_after="3"))
    await until(lambda: len(fleet.calls) == 2, 10)

    async def all_know() -> bool:
        return all([await replica.metric("cooldown_until_timestamp_seconds") > time.time() for replica in replicas])

    await until(all_know, 3)
    answers = [await replica.ask() for replica in replicas]
    assert [answer.token_id for answer in answers] == [token_id] * 2
    assert not any("suspect" in answer.body for answer in answers)

    await until(lambda: len(fleet.calls) == 3, 10)
    assert [call.status for call in fleet.calls] == [200, 429, 200]
    assert fleet.gaps_s[1] >= 3 - 0.1
