"""What replicas agree on: the shared state, the requests of a replica, and their results.

Only durations are sent over the wire, never timestamps: every `…_left_s` and `…_age_s` is measured by the store's clock
at the moment of its response, so clock skew between replicas does not matter.

Two facts are ordered by their fences, never by time and never by the order of writing. A fact that another can
supersede carries the fence at which it was recorded: the highest one given by then. An outcome ends only what was
recorded below the fence of its own grant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sidecar.core.errors import FailureKind, PartnerDetail
from sidecar.core.model import Seconds, Token, UtcTime

FENCES_PER_DAY = 24 * 3600 * 1000
"""At least so many fences pass in a day: a fence is at least the store's clock in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A cool-down (`kind` is THROTTLED) or a back-off (any other kind): no replica calls for `left_s` more seconds.

    `consecutive_failures` counts those of this kind since the last token, this one included. `left_s` is 0 at the end.
    """

    kind: FailureKind
    left_s: Seconds
    consecutive_failures: int
    detail: PartnerDetail | None = None
    fence: int = 0
    """The fence at which it was recorded; unused in `FailureReport`, where the store sets it."""

    def after(self, passed_s: Seconds) -> Pause:
        return self if self.left_s <= 0 else replace(self, left_s=max(0, self.left_s - passed_s))


@dataclass(frozen=True, slots=True)
class FailureCount:
    """Failures of one kind since the last token; `fence` is that at which the last one was recorded."""

    count: int
    fence: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """One permit of the budget, spent by the lease of this fence."""

    fence: int
    age_s: Seconds
    caller_requested: bool = False


@dataclass(frozen=True, slots=True)
class Reported:
    """An app reported this token as rejected by the partner. `age_s` is the token's age at the first report."""

    token_id: str
    fence: int
    age_s: Seconds


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The partner returned a reported token again: the report was mistaken. `fence` is that of the later grant."""

    token_id: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedLifetime:
    """The lifetime learned from reports: `learned_s` is in force (0: none); the one with the higher `fence` counts.

    `first_report_age_s` is the token's age at the first of the two reports. `fence` is that of their token.
    """

    learned_s: Seconds = 0
    first_report_age_s: Seconds = 0
    fence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One profile's state in the store. The default is that of an empty store."""

    now: UtcTime = 0
    epoch: str = ""
    """Random, made with the store's data: another epoch means the data was lost. Empty: nothing there yet."""
    fence: int = 0
    """The highest fence ever given."""
    token: Token | None = None
    """The stored token, only when it is newer than the fence that the replica sent."""
    token_fence: int = 0
    token_id: str = ""
    """The stored token's id, even when `token` is left out; fence and id are 0 and empty when there is none."""
    lease_owner: str = ""
    lease_left_s: Seconds = 0
    pause: Pause | None = None
    failure_counts: Mapping[str, FailureCount] = field(default_factory=dict)
    """Failures since the last token, by kind, 401 and 403 left out: alternating kinds are not each a first failure."""
    credential_blocks: Mapping[str, Pause] = field(default_factory=dict)
    """Credentials the partner rejected, by `credentials_id`."""
    proven: Mapping[str, int] = field(default_factory=dict)
    """Credentials that obtained a token: `credentials_id` to the fence of the newest one; a few."""
    reported: Reported | None = None
    """The report of the stored token, while it counts."""
    confirmed: Confirmed | None = None
    """The partner has returned the stored token again since: reports of it are mistaken."""
    refresh_dropped: int = 0
    """The highest fence whose token must not be refreshed any more, only replaced by a grant."""
    learned: LearnedLifetime = field(default_factory=LearnedLifetime)
    grants: tuple[Grant, ...] = ()
    """The permits spent within the window, oldest first."""
    damaged: tuple[str, ...] = ()
    """Names of stored values that could not be used and count as missing: `gate`, `token`, or `seal` for a token that
    this replica cannot open: its key is missing, or its form is not this version's."""

    @property
    def has_unreadable_token(self) -> bool:
        return "seal" in self.damaged

    def after(self, passed_s: Seconds, window_s: Seconds) -> State:
        """Return the state as it is `passed_s` later; permits older than the budget's `window_s` are dropped."""
        if passed_s <= 0:
            return self
        return replace(
            self,
            now=self.now + passed_s,
            lease_left_s=max(0, self.lease_left_s - passed_s),
            pause=None if self.pause is None else self.pause.after(passed_s),
            credential_blocks={key: pause.after(passed_s) for key, pause in self.credential_blocks.items()},
            grants=tuple(
                Grant(grant.fence, grant.age_s + passed_s, grant.caller_requested)
                for grant in self.grants
                if grant.age_s + passed_s < window_s
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """One replica asks for the lease. Repeating it with the same nonce gives the same result."""

    nonce: str
    """`<replica id>/<random>`."""
    known: int
    """Fence of the newest token this replica holds (0: none); a newer stored one is adopted instead."""
    fence: int
    """The highest fence this replica has seen: the store raises its own to it."""
    epoch: str
    """The epoch this replica remembers; empty when it has seen none."""
    caller_requested: bool
    credentials_id: str


def is_leased(fence: int) -> bool:
    """Whether this is the fence of a lease; calls that a replica makes on its own have odd ones."""
    return fence % 2 == 0


@dataclass(frozen=True, slots=True)
class Adopt:
    """A newer token is stored, and is in the state: no call."""


@dataclass(frozen=True, slots=True)
class Held:
    """Another replica may be calling (or a store that lost its data is in quarantine): look again before `left_s`."""

    left_s: Seconds


@dataclass(frozen=True, slots=True)
class CoolingDown:
    """The pause, or the block of exactly these credentials, is still running."""

    pause: Pause


@dataclass(frozen=True, slots=True)
class OverBudget:
    """The window has no permit left for `left_s`."""

    left_s: Seconds


@dataclass(frozen=True, slots=True)
class Granted:
    """The lease lasts `limit_s` from before the claim was sent. One permit of the budget is spent."""

    fence: int
    limit_s: Seconds


Outcome: TypeAlias = Adopt | Held | CoolingDown | OverBudget | Granted


@dataclass(frozen=True, slots=True)
class ClaimResult:
    outcome: Outcome
    state: State


@dataclass(frozen=True, slots=True)
class Committed:
    """`stored` is False when a newer fence's token is there (it is in the state)."""

    stored: bool
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReport:
    """How a holder's lease ended without a token. Sending it twice with the same nonce changes nothing."""

    nonce: str
    fence: int
    credentials_id: str
    pause: Pause | None = None
    """For all replicas; the store counts failures itself. None: nothing was sent, or a refresh token was rejected."""
    drop_refresh: int = 0
    """The highest fence whose token is not to be refreshed any more."""
    known: int = 0
    """As in `ClaimRequest`: a newer stored token is in the reply."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The result of a report: the token is `current`, was `confirmed` by the partner, or is neither (a late report)."""

    current: bool
    confirmed: bool
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaMemory:
    """What a replica sends to a store that lost its data or was down; `state` carries all but the token."""

    state: State
    token: Token | None
    token_age_s: Seconds
    clock_stepped: bool = False
    """The store's clock was set: this replica's ages of the token and of the permits count, not the stored times."""
