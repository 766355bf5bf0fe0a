"""One simulated partner account: its properties, its tokens and its rate limit. Plain state, no network."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from sidecar.core.model import MonotonicTime, Seconds, Secret, token_id_of
from sidecar.core.ports import Clock
from sidecar.sandbox.config import SandboxConfig


@dataclass(frozen=True, slots=True)
class Issued:
    """The two tokens of one response, as plain text: a sandbox has no real secrets. `repr` still omits them."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)


@dataclass(slots=True)
class _Family:
    """The ids of the tokens of one grant and of all refreshes that followed it."""

    access_ids: list[str] = field(default_factory=list)
    refresh_ids: list[str] = field(default_factory=list)


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
        self._families: dict[str, _Family] = {}
        """By the id of each refresh token that was issued."""
        self._refreshes: set[str] = set()
        """The ids of the refresh tokens that are valid."""
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

    def grant(self) -> Issued:
        """Return two new tokens; with `same_token` the current ones until they end."""
        return self._issue(_Family(), revokes=self._config.revoke_on_grant)

    def refresh(self, refresh_token: str) -> Issued | None:
        """Return what `grant` returns, or None if the refresh token is not valid."""
        token_id = _id_of(refresh_token)
        family = self._families.get(token_id)
        if family is None:
            return None
        if token_id not in self._refreshes:
            if self._config.refresh_reuse == "end-family":
                self._revoked.update(family.access_ids)
                self._refreshes.difference_update(family.refresh_ids)
            return None
        if self._config.refresh_reuse != "accept":
            self._refreshes.discard(token_id)
        return self._issue(family, revokes=self._config.revoke_on_refresh)

    def _issue(self, family: _Family, *, revokes: bool) -> Issued:
        if self._config.same_token and self.last is not None and self.accepts(self.last.access):
            self._refreshes.add(_id_of(self.last.refresh))
            return self.last
        if revokes or self._config.revoke_previous:
            self._revoked.update(self.ends_at)
        issued = Issued(self._new_token(), self._new_token())
        access_id, refresh_id = _id_of(issued.access), _id_of(issued.refresh)
        self.ends_at[access_id] = self._clock.monotonic() + self._config.token_lifetime_s
        family.access_ids.append(access_id)
        family.refresh_ids.append(refresh_id)
        self._families[refresh_id] = family
        self._refreshes.add(refresh_id)
        self.last = issued
        return issued

    def accepts(self, access: str) -> bool:
        return self._lives(_id_of(access))

    def left_s(self, issued: Issued) -> Seconds:
        """Return the remaining lifetime in whole seconds."""
        return int(self.ends_at[_id_of(issued.access)] - self._clock.monotonic())

    def age_s(self, access: str) -> Seconds | None:
        """Return the time since this access token was issued, or None if it never was."""
        ends_at = self.ends_at.get(_id_of(access))
        return None if ends_at is None else self._clock.monotonic() - (ends_at - self._config.token_lifetime_s)

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


def _id_of(token: str) -> str:
    return token_id_of(Secret(token))
