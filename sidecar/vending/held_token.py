"""The token that a replica holds, as its callers are given it."""

from __future__ import annotations

from sidecar.core.model import Moment, Seconds, Token
from sidecar.core.policy import Condition, usable_s
from sidecar.vending.crew import Crew
from sidecar.vending.vendor import Vended

_GOOD = (Condition.FRESH, Condition.STALE)


class HeldToken:
    """Reads process memory alone."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._view = crew.view
        self._latest: Vended | None = None
        """What was vended last: within one second every caller gets the same."""

    def vended(self, now: Moment, min_ttl_s: Seconds = 0) -> Vended | None:
        """The token with at least `min_ttl_s` left; None where there is none, or it is no good one."""
        view, latest = self._view, self._latest
        if (
            latest is not None
            and now < latest.good_until
            and view.token is latest.token
            and not view.rejected
            and not min_ttl_s
            and view.shown_time.is_right(now)
        ):
            return latest
        if view.token is None or not self.is_good(now):
            return None
        left_s = view.left_s(now)
        if left_s < min_ttl_s:
            return None
        usable_left_s = usable_s(view.token.lifetime_s, self._crew.profile) - view.age_s(now)
        good_until = now + min(left_s % 1, usable_left_s)
        self._latest = Vended(view.token, False, max(1, int(left_s)), view.issued_at, good_until)
        return self._latest

    def holds(self, token: Token) -> bool:
        """As `Vendor.holds`."""
        return self._view.token is token and not self._view.rejected

    def is_good(self, now: Moment) -> bool:
        """Whether it would be vended unmarked."""
        return self._view.condition(now) in _GOOD
