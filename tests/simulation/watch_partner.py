"""Checks the calls that reach the partner: within the budget, one at a time, none in a cool-down."""

from __future__ import annotations

from sidecar.core.model import LEASE_SLACK_S, StoreFailure
from sidecar.vending.store_mirror import NOTICED_S
from tests.simulation.account import Call
from tests.simulation.replica_truth import ROUNDING_S, ReplicaTruth, Truth, ViolationError

CALLS_PER_LOSS = 2
"""A store that lost data may cost the running call, and one of a new replica that claims before another has seeded."""


class PartnerWatch:
    """Checks each call at its first byte; raises `ViolationError`."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    def calling(self, call: Call) -> None:
        self._keeps_known_cool_downs(call)
        call.seen_at = self._truth.replica_truths[call.replica].seen_at
        self._truth.account.calls.append(call)
        if call.own_share:
            self._on_its_own_share(call, self._truth.replica_truths[call.replica])
        else:
            self._truth.shared_calls.append(call)
            self._one_at_a_time(call)
            self._within_the_budget(call)

    def _keeps_known_cool_downs(self, call: Call) -> None:
        """A replica that got a 429, or read one, waits, whatever happens to the store, until a later call's token.

        A 429 that the store lost counts from `NOTICED_S` on: of two masters each may have only its own replica's.
        """
        cool, now = self._truth.replica_truths[call.replica].cool, call.sent_at
        if cool is not None and now > cool.read_at + ROUNDING_S and now < cool.until - NOTICED_S:
            raise ViolationError(f"a call of a replica that the store told to wait {cool.until - now:.2f} s more")
        token_asked_at = -1.0
        for earlier in reversed(self._truth.account.calls):
            if earlier.outcome == "ok":
                token_asked_at = max(token_asked_at, earlier.sent_at)
            if earlier.replica == call.replica and earlier.outcome == "throttled" and token_asked_at < earlier.over_at:
                left_s = earlier.over_at + (earlier.wait_s or self._truth.profile.cooldown_s) - now
                if left_s > (NOTICED_S if self._truth.forgot_since(earlier.sent_at) else ROUNDING_S):
                    raise ViolationError(f"a call of a replica whose cool-down lasts {left_s:.2f} s more")

    def _one_at_a_time(self, call: Call) -> None:
        profile = self._truth.profile
        for other in self._truth.shared_calls[:-1]:
            out_until = min(other.over_at, other.sent_at + profile.partner_timeout_s)
            forgot = self._truth.forgot_since(other.sent_at - profile.lease_limit_s)
            if out_until > call.sent_at + ROUNDING_S and not forgot:
                raise ViolationError(f"a call while {other.replica}'s is out for {out_until - call.sent_at:.2f} s more")

    def _within_the_budget(self, call: Call) -> None:
        """A call counts from its grant, at most a second and a store time-out before its first byte."""
        profile = self._truth.profile
        window_s = profile.budget.window_s - LEASE_SLACK_S - profile.store_timeout_s
        since = call.sent_at - window_s
        calls = sum(other.sent_at > since + ROUNDING_S for other in self._truth.shared_calls)
        losses = self._truth.forgot_since(since - profile.lease_limit_s)
        sides = 2 if self._truth.split_since(since) else 1
        budgets = sides + self._truth.windows_lost_since(since - profile.lease_limit_s)
        if calls > budgets * profile.budget.calls + CALLS_PER_LOSS * losses:
            raise ViolationError(f"{calls} calls within {window_s:g} s, and the store lost {losses} times")

    def _on_its_own_share(self, call: Call, replica_truth: ReplicaTruth) -> None:
        profile = self._truth.profile
        if profile.store_failure is StoreFailure.FAIL:
            raise ViolationError("a call without a lease, where the setting is to fail")
        good_s = call.sent_at - self._truth.bad_way_at(call.replica)
        if good_s > 3 * profile.store_timeout_s:
            raise ViolationError(f"a call without a lease, with a good way to the store for {good_s:.1f} s")
        share = profile.budget.share_of(profile.fleet_size)
        replica_truth.local_calls.append(call.sent_at)
        # Spent before the connection was made.
        since = call.sent_at - share.window_s + self._truth.account.connect_s
        spent = sum(at > since + ROUNDING_S for at in replica_truth.local_calls)
        if spent > share.calls:
            raise ViolationError(
                f"{spent} calls of its own within {share.window_s:g} s, where the share is {share.calls}"
            )
