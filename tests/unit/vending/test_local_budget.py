"""The share of each account's budget that one process may spend."""

from __future__ import annotations

import gc
from dataclasses import replace

from sidecar.core.model import Budget, Profile
from sidecar.stores.engine import MemoryStore
from sidecar.vending.assembly import assemble
from sidecar.vending.local_budget import RECENT_ACCOUNTS, LocalBudgets
from sidecar.vending.refresher import Beat
from tests.support.fake_provider import FixedClock
from tests.support.fleet import FileCredentials, credentials
from tests.support.partner import FakePartner
from tests.support.sink import ListSink

PROFILE = Profile(base_url="https://partner.example", account="key:1", budget=Budget(10, 60), fleet_size=5)
OTHER = replace(PROFILE, account="key:2")


def test_profiles_of_one_account_share_one_local_budget() -> None:
    clock = FixedClock()
    budgets = LocalBudgets(clock)
    one, other = budgets.of(PROFILE), budgets.of(OTHER)
    also_one = budgets.of(replace(PROFILE, name="another name", base_url="HTTPS://partner.example/"))
    for share in (one.share, also_one.share):
        assert share.wait_s(caller_requested=False) == 0
        share.spend(clock.monotonic(), caller_requested=False)
    assert one.share.wait_s(caller_requested=False) == also_one.share.wait_s(caller_requested=False) == 60
    assert other.share.wait_s(caller_requested=False) == 0
    assert also_one is one


def test_a_key_that_is_put_back_keeps_its_spent_permits() -> None:
    clock = FixedClock()
    budgets = LocalBudgets(clock)
    budgets.of(PROFILE).share.spend(clock.monotonic(), caller_requested=True)
    budgets.of(OTHER)
    assert budgets.of(PROFILE).share.wait_s(caller_requested=True) == 60


def test_unused_accounts_are_removed() -> None:
    budgets = LocalBudgets(FixedClock())
    used = budgets.of(PROFILE)
    for number in range(1000):
        budgets.of(replace(PROFILE, account=f"key:{number + 100}"))
    gc.collect()
    assert len(budgets._by_account) <= RECENT_ACCOUNTS + 1
    assert budgets.of(PROFILE) is used, "and the budget in use is kept"


def test_the_budget_of_an_account_is_kept_for_as_long_as_the_account_is_used() -> None:
    clock = FixedClock()
    budgets = LocalBudgets(clock)
    parts = assemble(
        PROFILE,
        replica_id="replica",
        clock=clock,
        store=MemoryStore(clock).shared_state(PROFILE),
        partner=FakePartner(),
        credentials=FileCredentials(credentials()),
        sink=ListSink(),
        beat=Beat(clock),
        budgets=budgets,
    )
    budgets.of(PROFILE).share.spend(clock.monotonic(), caller_requested=True)
    for number in range(RECENT_ACCOUNTS + 1):
        budgets.of(replace(PROFILE, account=f"key:{number + 100}"))
    gc.collect()
    wait_s = budgets.of(PROFILE).share.wait_s(caller_requested=True)
    assert parts.outage.wait_s(caller_requested=True) == wait_s == 60
