"""The interface of one profile's use cases: vend, report, wait for a change, take a snapshot."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Protocol

from sidecar.core.errors import FailureKind, PartnerDetail
from sidecar.core.events import Verdict
from sidecar.core.model import MonotonicTime, Profile, Seconds, Token, UtcTime
from sidecar.core.policy import Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class VendedToken:
    """A token for a caller, with its state when it is vended.

    `expires_in_s` is whole seconds, at least 1, and exactly 1 for a suspect token. `issued_at` and `expires_at` are
    this machine's UTC. All fields stay true until `valid_until`, unless the token changes or this machine's clock is
    set. It is 0 where that is not known.
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
    _: KW_ONLY
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

    Times are this machine's UTC. They keep their values until this machine's clock is set. 0 means "none" for times,
    and "" for names.
    """

    profile: str
    profile_id: str
    """The account's name in the store. It is equal wherever token and budget are shared."""
    role: str
    partner: str
    base_url: str
    ready: bool
    condition: Condition
    """EXPIRED also stands for "there is no token"."""
    left_s: Seconds
    """The token's remaining lifetime; 0 without a token."""
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
    """When a call may be tried next; 0 while there is no call blocker."""
    last_failure: LastFailure | None
    has_outcome: bool
    """Whether there was an outcome since the start: a token, a failure or a call blocker."""
    signs: bool = False
    """Whether there is a signing key."""
    clock_offset_s: Seconds | None = None
    """How far the partner's clock is ahead of this machine's; None until it was measured."""


class TokenProvider(Protocol):
    """One profile's token, for the web and telemetry rooms."""

    @property
    def profile(self) -> Profile: ...

    def current(self) -> VendedToken | None:
        """Return a good token from process memory, or None when a caller has to wait for `vend`.

        Uses neither the store nor a lock. Never returns a suspect token.
        """
        ...

    def holds(self, token: Token) -> bool:
        """Whether this token object is still the one vended, and unmarked. Its expiry is not checked."""
        ...

    async def vend(self, min_ttl_s: Seconds = 0) -> VendedToken:
        """Return a token with at least `min_ttl_s` left. Waits for one, at most the profile's request timeout.

        Raises a subclass of `NoTokenError` without a token, `BadRequestError` if no token can have `min_ttl_s` left.
        """
        ...

    async def changed(self, token_id: str, wait_s: Seconds) -> bool:
        """Wait until another token than `token_id` is vended (True) or `wait_s` is over (False)."""
        ...

    async def report(self, token_id: str) -> Report:
        """Take an app's report that the partner rejected this token."""
        ...

    def snapshot(self) -> Snapshot: ...
