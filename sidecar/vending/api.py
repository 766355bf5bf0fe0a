"""What the outside of the use cases sees of one profile: vend, report, follow, look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sidecar.core.events import Verdict
from sidecar.core.failures import FailureKind, PartnerDetail
from sidecar.core.model import MonotonicTime, Profile, Seconds, Token, UtcTime
from sidecar.core.policy import Condition


@dataclass(frozen=True, slots=True)
class VendedToken:
    """A token for a caller, with what is true of it at this moment.

    `expires_in_s` is whole seconds, at least 1, and exactly 1 for a suspect one. `issued_at` and `expires_at` are
    this machine's UTC. Until `valid_until` all of it stays true, should nothing happen to the token and nobody set this
    machine's clock; 0 where that is not known.
    """

    token: Token
    suspect: bool
    expires_in_s: int
    issued_at: UtcTime
    valid_until: MonotonicTime = 0

    @property
    def expires_at(self) -> UtcTime:
        return self.issued_at + self.token.lifetime_s


@dataclass(frozen=True, slots=True)
class Report:
    """The answer to a rejection report; `retry_after_s` is set only with `later`."""

    verdict: Verdict
    retry_after_s: Seconds | None = None
    known: bool = True
    """Whether this replica has held that token. Any other id is not logged: it may be a token in the wrong field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastFailure:
    """The latest failure among this replica's own partner calls."""

    kind: FailureKind
    at: UtcTime
    detail: PartnerDetail | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One profile at one moment, for probes, metrics and the status page. Holds no secret.

    Instants are this machine's UTC, and agree with it: they stay what they are until somebody sets its clock. 0 means
    "none" for instants, and "" for names.
    """

    profile: str
    profile_id: str
    """Names the account in the store; equal wherever token and budget are shared."""
    role: str
    partner: str
    base_url: str
    ready: bool
    condition: Condition
    """EXPIRED also stands for "there is no token"."""
    left_s: Seconds
    """The life the token has left; 0 without one."""
    why_not: str
    """The contract's error code a caller would get now; empty when there is a token to vend."""
    token_id: str
    issued_at: UtcTime
    expires_at: UtcTime
    lifetime_s: Seconds
    lifetime: str
    learned_s: Seconds
    """0 while nothing was learned."""
    declared_s: Seconds
    """0 unless the current token's lifetime was declared."""
    next_refresh_at: UtcTime
    last_success_at: UtcTime
    """When this replica last took a new token, fetched or adopted."""
    cooldown_until: UtcTime
    """Set only after a 429."""
    pause_kind: str
    pause_until: UtcTime
    budget_calls: int
    budget_window_s: Seconds
    budget_remaining: int
    lease_owner: str
    lease_until: UtcTime
    waiters: int
    resting: bool
    credentials_valid: bool
    store_up: bool
    stored_token_unreadable: bool
    """The store holds a token that this replica cannot open: its seal keys are not those of the fleet."""
    retry_at: UtcTime
    """When a call may be tried next; 0 while nothing stands in the way of one."""
    last_failure: LastFailure | None
    has_outcome: bool
    """Whether there was a first outcome since the start: a token, a failure, or a reason why none may be asked for."""


class TokenProvider(Protocol):
    """One profile's token, for the web and telemetry rooms."""

    @property
    def profile(self) -> Profile: ...

    def current(self) -> VendedToken | None:
        """A believed-valid token from process memory, or None when a caller has to wait for `vend`.

        Touches neither store nor lock. A suspect token is never returned here.
        """
        ...

    def holds(self, token: Token) -> bool:
        """Whether this very token is vended still, and unmarked; its time is not looked at."""
        ...

    async def vend(self, min_ttl_s: Seconds = 0) -> VendedToken:
        """A token with at least `min_ttl_s` left; waits for one, at most the profile's request timeout.

        Raises `NoTokenError` (its kin) when none can be had, `BadRequestError` when `min_ttl_s` can never be met.
        """
        ...

    async def changed(self, token_id: str, wait_s: Seconds) -> bool:
        """Wait until another token than `token_id` is vended (True) or `wait_s` is over (False)."""
        ...

    async def report(self, token_id: str) -> Report:
        """An app says that the partner refused this token."""
        ...

    def snapshot(self) -> Snapshot: ...
