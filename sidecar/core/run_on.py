"""A state as it is some time after the store's answer, by who cannot ask again."""

from __future__ import annotations

from dataclasses import replace

from sidecar.core.model import Seconds
from sidecar.core.shared import Pause, State


def run_on(state: State, passed_s: Seconds, window_s: Seconds) -> State:
    """Every duration brought forward by `passed_s`; permits older than the budget's `window_s` are dropped."""
    return replace(
        state,
        now=state.now + passed_s,
        lease_left_s=max(0, state.lease_left_s - passed_s),
        pause=None if state.pause is None else _later(state.pause, passed_s),
        refused={pair: _later(pause, passed_s) for pair, pause in state.refused.items()},
        grant_ages_s=_older(state.grant_ages_s, passed_s, window_s),
        demand_ages_s=_older(state.demand_ages_s, passed_s, window_s),
    )


def _later(pause: Pause, passed_s: Seconds) -> Pause:
    return replace(pause, left_s=max(0, pause.left_s - passed_s))


def _older(ages_s: tuple[Seconds, ...], passed_s: Seconds, window_s: Seconds) -> tuple[Seconds, ...]:
    return tuple(age_s + passed_s for age_s in ages_s if age_s + passed_s < window_s)
