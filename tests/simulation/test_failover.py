"""The store fails over to a replica without the last writes, which the sidecars still remember."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from typing import Any

import pytest

from sidecar.core.errors import CoolingDownError, CredentialsRejectedError, FailureKind
from sidecar.core.events import StoreDataLost
from sidecar.core.shared_state import Confirmed, Grant, Pause, Reported, State
from sidecar.vending.store_mirror import NOTICED_S, has_lost_facts
from tests.support.fleet import Fleet
from tests.support.partner import failure
from tests.support.virtual_time import virtual

PAUSE = Pause(kind=FailureKind.THROTTLED, left_s=60, consecutive_failures=1, fence=9)
WINDOW_S = 60
TOLD = State(
    epoch="e",
    fence=9,
    token_fence=8,
    token_id="t8",
    pause=PAUSE,
    credential_blocks={"credentials-1": PAUSE},
    reported=Reported("t8", 9, 5),
    refresh_dropped=7,
    grants=(Grant(6, 59.5), Grant(8, 30)),
)


@pytest.mark.parametrize(
    ("kind", "error"),
    [(FailureKind.THROTTLED, CoolingDownError), (FailureKind.UNAUTHORIZED, CredentialsRejectedError)],
)
@virtual
async def test_a_pause_outlives_a_failover_that_loses_only_the_pause(kind: FailureKind, error: type[Exception]) -> None:
    fleet = Fleet()
    taken = asyncio.Event()
    backups: list[dict[str, Any]] = []

    async def take_a_backup() -> None:
        backups.append(copy.deepcopy(fleet.store._records))
        taken.set()
        raise failure(kind, status=429, retry_after_s=100 if kind is FailureKind.THROTTLED else None)

    fleet.partner.script.append(take_a_backup)
    replicas = fleet.start(3)
    await taken.wait()
    await asyncio.sleep(5)
    (fleet.store._records,) = backups
    await asyncio.sleep(80)
    assert fleet.partner.count == 1
    assert sum(len(replica.sink.of(StoreDataLost)) for replica in replicas) >= 1
    for replica in replicas:
        with pytest.raises(error):
            await replica.token()
    await fleet.stop()


@virtual
async def test_a_rejection_outlives_a_failover_that_loses_only_the_rejection() -> None:
    fleet = Fleet()
    first, other = fleet.start(2)
    token = (await first.broker.vend()).token
    await asyncio.sleep(5)
    backup = copy.deepcopy(fleet.store._records)
    fleet.partner.script.extend([failure(FailureKind.THROTTLED, status=429, retry_after_s=100)])
    await first.broker.report(token.token_id)
    await asyncio.sleep(5)
    fleet.store._records = backup
    await asyncio.sleep(5)
    for replica in (first, other):
        assert (await replica.broker.vend()).suspect
    await fleet.stop()


@pytest.mark.parametrize(
    "lost",
    [
        {"epoch": "another"},
        {"fence": 8},
        {"refresh_dropped": 6},
        {"pause": None},
        {"pause": replace(PAUSE, left_s=60 - NOTICED_S - 0.1)},
        {"credential_blocks": {}},
        {"reported": None},
        {"reported": None, "confirmed": Confirmed("t8", 9)},
        {"grants": (Grant(6, 59.5),)},
        {"grants": (Grant(6, 59.5), Grant(10, 1)), "fence": 10},
        {"token_fence": 9, "token_id": "t9", "pause": None},
    ],
)
def test_a_recorded_fact_that_is_missing_from_the_store_counts_as_lost(lost: dict[str, object]) -> None:
    assert has_lost_facts(_changed(lost), TOLD, WINDOW_S)


@pytest.mark.parametrize(
    "later",
    [
        {},
        {"fence": 10},
        {"pause": replace(PAUSE, left_s=60 - NOTICED_S / 2)},
        {"pause": Pause(kind=FailureKind.TIMEOUT, left_s=90, consecutive_failures=1)},
        {"token_fence": 10, "token_id": "t10", "pause": None, "credential_blocks": {}, "reported": None},
        {"reported": None, "confirmed": Confirmed("t8", 10)},
        {"grants": (Grant(8, 30),)},
    ],
)
def test_a_fact_that_a_newer_token_or_time_has_ended_does_not_count_as_lost(later: dict[str, object]) -> None:
    assert not has_lost_facts(_changed(later), TOLD, WINDOW_S)


def test_a_replica_without_a_store_reply_detects_no_loss() -> None:
    assert not has_lost_facts(TOLD, State(), WINDOW_S)


def _changed(fields: dict[str, object]) -> State:
    return replace(TOLD, **fields)  # type: ignore[arg-type]  # a table of fields of several types
