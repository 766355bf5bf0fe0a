"""Brings a state forward to some time after the store's reply, for a replica that cannot read it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sidecar.core.model import Seconds
from sidecar.core.shared_state import Grant, Pause, State


def run_on(state: State, passed_s: Seconds, window_s: Seconds) -> State:
    """Return the state as it is `passed_s` later; permits older than the budget's `window_s` are dropped.

    Returns the same object when no time has passed: this is called at every read of the state.
    """
    if passed_s <= 0:
        return state
    return replace(
        state,
        now=state.now + passed_s,
        lease_left_s=max(0, state.lease_left_s - passed_s),
        pause=None if state.pause is None else _later(state.pause, passed_s),
        credential_blocks=_all_later(state.credential_blocks, passed_s),
        grants=_older(state.grants, passed_s, window_s),
    )


def _all_later(refused: Mapping[str, Pause], passed_s: Seconds) -> Mapping[str, Pause]:
    return {key: _later(pause, passed_s) for key, pause in refused.items()} if refused else refused


def _later(pause: Pause, passed_s: Seconds) -> Pause:
    return pause if pause.left_s <= 0 else replace(pause, left_s=max(0, pause.left_s - passed_s))


def _older(grants: tuple[Grant, ...], passed_s: Seconds, window_s: Seconds) -> tuple[Grant, ...]:
    return tuple(
        Grant(grant.fence, grant.age_s + passed_s, grant.caller_requested)
        for grant in grants
        if grant.age_s + passed_s < window_s
    )
