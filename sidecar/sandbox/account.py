"""One simulated partner account: its properties, its tokens and its rate limit. Plain state, no network."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sidecar.core.model import Budget, MonotonicTime, Seconds, Secret, token_id_of
from sidecar.core.ports import Clock
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
    limit: Budget = field(default=Budget(10, 60))
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


@dataclass(frozen=True, slots=True)
class Issued:
    """The two tokens of one response, as plain text: a sandbox has no real secrets. `repr` still omits them."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)


class Account:
    """Issues, checks and revokes tokens, and counts calls."""

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._calls_at: list[MonotonicTime] = []
        """The admitted calls of the current window, in order."""
        self.ends_at: dict[str, MonotonicTime] = {}
        """When each issued token ends or ended, by its id; revoked tokens end earlier."""
        self._revoked: set[str] = set()
        self._refreshes: set[str] = set()
        self.last: Issued | None = None

    def admit_call(self) -> Seconds:
        """Count one call and return 0; if the limit is reached, return the time until the next admitted call (> 0)."""
        now, limit = self._clock.monotonic(), self._config.limit
        if self._config.sliding_limit:
            self._calls_at = [at for at in self._calls_at if now - at < limit.window_s]
        elif self._calls_at and now - self._calls_at[0] >= limit.window_s:
            self._calls_at = []
        if len(self._calls_at) >= limit.calls:
            return self._calls_at[0] + limit.window_s - now
        self._calls_at.append(now)
        return 0

    def issue(self) -> Issued:
        """Return two new tokens; with `same_token` the current ones until they end."""
        if self._config.same_token and self.last is not None and self.accepts(self.last.access):
            self._refreshes.add(self.last.refresh)
            return self.last
        if self._config.revoke_previous:
            self._revoked.update(self.ends_at)
        issued = Issued(self._new_token(), self._new_token())
        self.ends_at[_id_of(issued.access)] = self._clock.monotonic() + self._config.token_lifetime_s
        self._refreshes.add(issued.refresh)
        self.last = issued
        return issued

    def spend_refresh(self, refresh: str) -> bool:
        """Return whether this refresh token is valid; a single-use one is valid only once."""
        valid = refresh in self._refreshes
        if self._config.single_use_refresh:
            self._refreshes.discard(refresh)
        return valid

    def accepts(self, access: str) -> bool:
        return self._lives(_id_of(access))

    def left_s(self, issued: Issued) -> Seconds:
        """Return the remaining lifetime in whole seconds."""
        return int(self.ends_at[_id_of(issued.access)] - self._clock.monotonic())

    def live_tokens(self) -> int:
        return sum(self._lives(token_id) for token_id in self.ends_at)

    def revoke(self) -> None:
        """End every token of this account, refresh tokens too."""
        self._revoked.update(self.ends_at)
        self._refreshes.clear()

    def _lives(self, token_id: str) -> bool:
        return token_id not in self._revoked and self.ends_at.get(token_id, 0) > self._clock.monotonic()

    def _new_token(self) -> str:
        """Return 684 characters of base64 of 512 characters of text, as in the documented example."""
        text = "".join(self._clock.new_id() for _ in range(32))
        return self._config.token_mark + base64.b64encode(text.encode()).decode()


def _id_of(access: str) -> str:
    return token_id_of(Secret(access))
