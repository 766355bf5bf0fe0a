"""The configuration of a sandbox."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sidecar.core.model import Budget, Seconds, Secret
from sidecar.partner.presets import PRESETS

RetryAfterForm: TypeAlias = Literal["seconds", "date", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """Each property of the partner that is UNKNOWN is a field here, so that each possibility can be tried."""

    api_key: Secret
    api_secret: Secret
    role: str = "API_USER"
    presets: tuple[str, ...] = tuple(PRESETS)
    """Names of the APIs to serve. Each has its own account; all accept the same key and secret."""
    token_lifetime_s: Seconds = 900
    declares_lifetime: bool = False
    """Whether responses declare the token's lifetime."""
    limit: Budget = field(default_factory=lambda: Budget(10, 60))
    """The token calls an account may make before 429, including those that get an error."""
    sliding_limit: bool = True
    """False: the window starts with its first call and ends as a whole."""
    retry_after: RetryAfterForm = "seconds"
    revoke_previous: bool = False
    """Whether a new token revokes the previous ones."""
    same_token: bool = False
    """Whether calls get the current token and its remaining whole seconds until it ends."""
    single_use_refresh: bool = True
    token_mark: str = ""
    """A prefix of every token, so that a search can find leaked tokens."""
    latency_s: Seconds = 0
    """The duration of every token call."""
