"""Checks the store's decisions: one lease, no call in a cool-down or without need, no older token."""

from __future__ import annotations

from typing import Any, TypeAlias

from sidecar.core import policy
from sidecar.core.errors import FailureKind
from sidecar.core.model import Token
from sidecar.core.shared_state import (
    ClaimRequest,
    ClaimResult,
    Committed,
    FailureReport,
    Granted,
    Rejection,
    ReplicaMemory,
    State,
)
from tests.simulation.replica_truth import ROUNDING_S, Lease, Truth, ViolationError

Answer: TypeAlias = ClaimResult | Committed | Rejection | State


class StoreWatch:
    """Checks each operation once the store has decided; raises `ViolationError`."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._fence = 0
        """The fence of the newest token that was stored."""
        self._throttled_at = -1.0
        """When a 429 was last recorded in it."""
        self._granted_at: dict[str, float] = {}
        self._leases: set[tuple[str, int]] = set()
        """The key is the nonce."""
        self._stored_failures: set[str] = set()
        """Nonces whose failure is stored: recording it again changes nothing."""

    def forgot(self) -> None:
        self._fence = 0

    def decided(
        self, replica: str, operation: str, arguments: tuple[Any, ...], answer: Answer, before: Token | None
    ) -> None:
        """`before` is the token that was stored when the operation came."""
        state = answer if isinstance(answer, State) else answer.state
        if 0 < state.token_fence < self._fence and not self._truth.split:
            raise ViolationError(f"a token of fence {state.token_fence} replaced one of fence {self._fence}")
        self._fence = max(self._fence, state.token_fence)
        match operation:
            case "claim":
                if isinstance(answer, ClaimResult) and isinstance(answer.outcome, Granted):
                    self._granted(arguments[0], answer.outcome, state, before)
            case "commit":
                self._ended(arguments[0])
                # A token ends the cool-downs that were known when its call was granted.
                if isinstance(answer, Committed) and answer.stored and self._granted_later(arguments[0]):
                    self._truth.cool_until = 0
            case "fail":
                self._failed(arguments[0])
            case "reject":
                if isinstance(answer, Rejection) and answer.current and not self._truth.split:
                    self._truth.marked_at.setdefault(arguments[0], self._truth.now())
            case "seed":
                self._seeded(replica, arguments[0])

    def _granted(self, ask: ClaimRequest, granted: Granted, state: State, before: Token | None) -> None:
        truth, now = self._truth, self._truth.now()
        running = None if truth.split else truth.lease
        if (ask.nonce, granted.fence) in self._leases:
            return  # a repeated claim, also of a lease that was thought lost with a master
        self._leases.add((ask.nonce, granted.fence))
        if running is not None and now < running.until - ROUNDING_S:
            raise ViolationError(f"a second lease, {running.until - now:.2f} s before the end of {running.nonce}'s")
        if now < truth.cool_until - ROUNDING_S and not truth.split:
            raise ViolationError(f"a lease in a cool-down that has {truth.cool_until - now:.2f} s left")
        if before is not None and not truth.account.may_be_vended_again:
            self._needed(ask, before, reported=self._is_reported(ask, before, state))
        truth.lease = Lease(ask.nonce, granted.fence, now + granted.limit_s)
        self._granted_at[ask.nonce] = now

    def _is_reported(self, ask: ClaimRequest, stored: Token, state: State) -> bool:
        """Whether the token was reported to the store, or to the claiming replica, which could not store it yet."""
        reported_there = state.reported is not None and state.reported.token_id == stored.token_id
        return reported_there or stored.token_id in self._truth.replica_truths[ask.nonce.partition("/")[0]].rejected

    def _needed(self, ask: ClaimRequest, stored: Token, *, reported: bool) -> None:
        """A scheduled call is not needed while the stored token has not reached its refresh point."""
        truth, profile = self._truth, self._truth.profile
        issued = truth.account.tokens[stored.access.reveal()]
        fresh_until = issued.sent_at + policy.refresh_point_s(stored.lifetime_s, profile, 0)
        fresh_s = min(fresh_until, issued.dies_at) - truth.now()
        on_trial = ask.credentials_id != stored.credentials_id
        forgot = truth.forgot_since(truth.now() - profile.lease_limit_s - profile.poll_s)
        settled = not forgot and truth.clock_set_at < min(issued.sent_at, issued.seen_at)
        if (
            settled
            and not (ask.caller_requested or on_trial or reported)
            and stored.fence >= ask.known
            and fresh_s > truth.age_error_s
        ):
            raise ViolationError(f"a needless lease: the stored token is fresh for {fresh_s:.1f} s more")

    def _ended(self, nonce: str) -> None:
        if self._truth.lease is not None and self._truth.lease.nonce == nonce:
            self._truth.lease = None

    def _failed(self, failed: FailureReport) -> None:
        self._ended(failed.nonce)
        if failed.nonce in self._stored_failures or failed.pause is None:
            return
        self._stored_failures.add(failed.nonce)
        if failed.pause.kind is FailureKind.THROTTLED:
            self._check_pause(failed.pause.left_s)

    def _check_pause(self, left_s: float) -> None:
        until = self._truth.now() + left_s
        if until > self._truth.cool_until:
            self._truth.cool_until, self._throttled_at = until, self._truth.now()

    def _granted_later(self, nonce: str) -> bool:
        return self._granted_at.get(nonce, -1) > self._throttled_at

    def _seeded(self, replica: str, remembered: ReplicaMemory) -> None:
        """The holder of a lease may seed its own token. Another replica's seed does not end the lease."""
        lease, token, pause = self._truth.lease, remembered.token, remembered.state.pause
        if lease is not None and token is not None and token.fence == lease.fence and _is_of(replica, lease.nonce):
            self._truth.lease = None
        if pause is not None and pause.kind is FailureKind.THROTTLED and pause.left_s > 0:
            self._check_pause(pause.left_s)
        self._truth.seeded(replica, clock_stepped=remembered.clock_stepped)


def _is_of(replica: str, nonce: str) -> bool:
    return nonce.startswith(f"{replica}/")
