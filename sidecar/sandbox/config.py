"""How a sandbox behaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sidecar.core.model import Budget, Seconds, Secret
from sidecar.partner.presets import PRESETS

RetryAfterForm: TypeAlias = Literal["seconds", "date", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """What the partner leaves UNKNOWN is a field here, so that each possibility can be tried."""

    api_key: Secret
    api_secret: Secret
    role: str = "API_USER"
    presets: tuple[str, ...] = tuple(PRESETS)
    """Names of the APIs to serve; each has an account of its own, all with the same key and secret."""
    token_lifetime_s: Seconds = 900
    declares_lifetime: bool = False
    """Whether its answers say how long a token lives."""
    limit: Budget = field(default_factory=lambda: Budget(10, 60))
    """Token calls an account may make, refused ones included, before 429."""
    sliding_limit: bool = True
    """False: the window starts with its first call and ends as a whole."""
    retry_after: RetryAfterForm = "seconds"
    revoke_previous: bool = False
    """Whether issuing a token ends the life of the one before."""
    same_token: bool = False
    """Whether a call is answered with the running token, and the whole seconds it has left, until it ends."""
    single_use_refresh: bool = True
    token_mark: str = ""
    """Stands in front of every token, so that a search for leaked ones has something to find."""
    latency_s: Seconds = 0
    """How long every token call takes."""
