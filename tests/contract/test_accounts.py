"""Whose keys lie where: one account is one state, whatever a profile is called, and two accounts are two."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.core.account import account_named, account_of_key
from sidecar.core.errors import FailureKind
from sidecar.core.model import Profile
from sidecar.core.shared_state import Adopt, CoolingDown, Held, OverBudget
from tests.contract.worlds import PROFILE, World, a_token, an_ask, failed, fetched, granted

MINE = replace(PROFILE, account=account_of_key("key-1"))
ALSO_MINE = replace(MINE, name="other", base_url="HTTPS://Partner.test:443/")
THEIRS = replace(MINE, account=account_of_key("key-2"))
NAMED = replace(MINE, account=account_named("key-1"))


async def test_one_account_under_two_names_shares_token_and_report(world: World) -> None:
    mine, also_mine = world.store.shared_state(MINE), world.store.shared_state(ALSO_MINE)
    token = await fetched(mine)
    assert (await also_mine.peek(0)).token_id == token.token_id
    assert isinstance((await also_mine.claim(an_ask())).outcome, Adopt)
    assert (await also_mine.reject(token.token_id, 1)).current
    reported = (await mine.peek(0)).reported
    assert reported is not None
    assert reported.token_id == token.token_id


async def test_it_shares_lease_cool_down_and_budget(world: World) -> None:
    mine, also_mine = world.store.shared_state(MINE), world.store.shared_state(ALSO_MINE)
    await granted(mine)
    assert isinstance((await also_mine.claim(an_ask())).outcome, Held)
    world.advance(MINE.lease_limit_s)
    await failed(also_mine, FailureKind.THROTTLED, 5)
    assert isinstance((await mine.claim(an_ask())).outcome, CoolingDown)
    world.advance(6)
    for state in (mine, also_mine):
        await failed(state, FailureKind.MALFORMED, 0)
    assert isinstance((await mine.claim(an_ask())).outcome, OverBudget)


@pytest.mark.parametrize("other", [THEIRS, NAMED, replace(MINE, role="OTHER"), replace(MINE, partner="flow1st")])
async def test_another_account_sees_nothing_of_it(world: World, other: Profile) -> None:
    mine, theirs = world.store.shared_state(MINE), world.store.shared_state(other)
    token = await fetched(mine)
    assert (await theirs.peek(0)).token_id == ""
    assert not (await theirs.reject(token.token_id, 1)).current
    assert (await mine.peek(0)).reported is None
    await failed(theirs, FailureKind.THROTTLED, 100)
    nonce, grant = await granted(mine, an_ask(known=token.fence))
    assert isinstance((await theirs.claim(an_ask())).outcome, CoolingDown)
    newer = a_token(grant.fence)
    assert (await mine.commit(nonce, newer, 0, (await mine.peek(0)).learned)).stored
    assert (await theirs.peek(0)).token_id == ""
