"""Vends the token that a replica holds."""

from __future__ import annotations

from sidecar.core.model import MonotonicTime, Seconds, Token
from sidecar.core.policy import Condition, usable_s
from sidecar.vending.api import VendedToken
from sidecar.vending.store_session import StoreSession

_GOOD = (Condition.FRESH, Condition.STALE)


class HeldToken:
    """Vends the held token. Reads process memory only."""

    def __init__(self, session: StoreSession) -> None:
        self._session = session
        self._replica = session.replica
        self._latest: VendedToken | None = None
        """The last vended token: within one second every caller gets the same."""

    def vended(self, now: MonotonicTime, min_ttl_s: Seconds = 0) -> VendedToken | None:
        """Return the held token if it has at least `min_ttl_s` left; None if there is none, or it is not good."""
        replica, latest = self._replica, self._latest
        if (
            latest is not None
            and now < latest.valid_until
            and replica.token is latest.token
            and not replica.is_reported
            and not min_ttl_s
            and replica.shown_time.is_right(now)
        ):
            return latest
        if replica.token is None or not self.is_good(now):
            return None
        left_s = replica.left_s(now)
        if left_s < min_ttl_s:
            return None
        usable_left_s = usable_s(replica.token.lifetime_s, self._session.profile) - replica.age_s(now)
        valid_until = now + min(left_s % 1, usable_left_s)
        self._latest = VendedToken(replica.token, False, max(1, int(left_s)), replica.issued_at, valid_until)
        return self._latest

    def holds(self, token: Token) -> bool:
        """As `TokenProvider.holds`."""
        return self._replica.token is token and not self._replica.is_reported

    def is_good(self, now: MonotonicTime) -> bool:
        """Whether the held token would be vended unmarked."""
        return self._replica.condition(now) in _GOOD
