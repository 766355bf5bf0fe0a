"""What a sandbox is told at its start: each property of the partner that is UNKNOWN is a field here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sidecar.core.model import Budget, Seconds, Secret
from sidecar.core.partner_table import PartnerTable
from sidecar.partner.presets import PRESETS

RetryAfterForm: TypeAlias = Literal["seconds", "date", "none"]
RefreshReuse: TypeAlias = Literal["refuse", "end-family", "accept"]
SignedRequests: TypeAlias = Literal["posts", "all", "none"]
TimestampOf: TypeAlias = Literal["request", "token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """Each property of the partner that is UNKNOWN is a field here, so that each possibility can be tried."""

    api_key: Secret
    api_secret: Secret
    signing_key: Secret | None = None
    """None: signatures are not checked."""
    role: str = "API_USER"
    partners: tuple[PartnerTable, ...] = tuple(PRESETS.values())
    """The APIs to serve. Each has its own account; all accept the same key and secret."""
    token_lifetime_s: Seconds = 900
    declares_lifetime: bool = False
    """Whether responses declare the token's lifetime."""
    limit: Budget = field(default=Budget(10, 60))
    """The token calls an account may make before 429, including those that get an error."""
    sliding_limit: bool = True
    """False: the window starts with its first call and ends as a whole."""
    retry_after: RetryAfterForm = "seconds"
    revoke_previous: bool = False
    """Whether a new token revokes the previous ones, whichever call it came from."""
    revoke_on_grant: bool = False
    revoke_on_refresh: bool = False
    same_token: bool = False
    """Whether calls get the current token and its remaining whole seconds until it ends."""
    refresh_reuse: RefreshReuse = "refuse"
    """What happens to a refresh token that was used before. `end-family` also ends every token of the same grant."""
    signed_requests: SignedRequests = "posts"
    """Which requests must be signed, apart from token calls, which never are."""
    timestamp_of: TimestampOf = "request"
    """What the timestamp must be close to: the arrival of the request, or the issue of its access token."""
    timestamp_tolerance_s: Seconds = 300
    sends_date: bool = True
    clock_offset_s: Seconds = 0
    """How far the partner's clock is ahead of ours: in `Date`, in `Retry-After`, and where timestamps are checked."""
    control_beyond_loopback: bool = False
    """Whether other machines reach the control path."""
    token_mark: str = ""
    """A prefix of every token, so that a search can find leaked tokens."""
    latency_s: Seconds = 0
    """The duration of every token call."""
