"""What a report of a refused token finds."""

from __future__ import annotations

from sidecar.core.ports import SharedState
from sidecar.core.shared_state import Confirmed, Reported
from tests.contract.worlds import World, fetched


async def test_a_report_of_the_stored_token_marks_it_with_its_age(shared: SharedState) -> None:
    token = await fetched(shared)
    rejection = await shared.reject(token.token_id, 40.5)
    assert (rejection.current, rejection.confirmed) == (True, False)
    assert rejection.state.token is None, "who reports it has it"
    assert rejection.state.reported == Reported(token.token_id, token.fence, 40.5)


async def test_the_first_reports_age_is_kept(world: World, shared: SharedState) -> None:
    token = await fetched(shared)
    await shared.reject(token.token_id, 40)
    world.advance(40)
    again = await shared.reject(token.token_id, 80)
    assert again.current
    assert again.state.reported is not None
    assert again.state.reported.age_s == 40


async def test_a_late_report_changes_nothing_and_learns_the_token_that_is_there(shared: SharedState) -> None:
    older = await fetched(shared)
    newer = await fetched(shared, known=older.fence)
    late = await shared.reject(older.token_id, 0)
    assert (late.current, late.confirmed) == (False, False)
    assert late.state.reported is None
    assert late.state.token is not None
    assert late.state.token.token_id == newer.token_id


async def test_a_report_into_an_empty_store_writes_nothing(shared: SharedState) -> None:
    assert not (await shared.reject("unheard-of", 0)).current
    assert (await shared.peek(0)).epoch == ""


async def test_a_token_handed_out_again_is_confirmed_and_further_reports_are_passed_over(shared: SharedState) -> None:
    first = await fetched(shared, "the-same")
    await shared.reject(first.token_id, 0)
    again = await fetched(shared, "the-same", known=first.fence)
    state = await shared.peek(0)
    assert (state.confirmed, state.reported) == (Confirmed(again.token_id, again.fence), None)
    report = await shared.reject(again.token_id, 0)
    assert (report.current, report.confirmed) == (False, True)
    assert report.state.reported is None


async def test_another_token_ends_rejection_and_confirmation(shared: SharedState) -> None:
    first = await fetched(shared, "the-same")
    await shared.reject(first.token_id, 0)
    again = await fetched(shared, "the-same", known=first.fence)
    await fetched(shared, "another", known=again.fence)
    state = await shared.peek(0)
    assert (state.confirmed, state.reported) == (None, None)
