"""A provider whose token ages with a clock, and which a test changes."""

from __future__ import annotations

from dataclasses import replace

from sidecar.core.errors import StartingError
from sidecar.core.model import Token
from sidecar.core.ports import Clock
from sidecar.vending.api import VendedToken
from sidecar.vending.store_clock import ShownTime
from tests.support.fake_provider import FakeProvider, token

LIFE_S = 900
ISSUED_AT = -0.375
"""Age of the token at the start: its remaining lifetime is no whole second when the clock shows one."""


class AgingProvider(FakeProvider):
    """Vends a token from the start: the same object while its fields are the same. Long-polls wait for `another`."""

    def __init__(self, name: str, clock: Clock) -> None:
        super().__init__(name)
        self._clock = clock
        self._shown_time = ShownTime(clock)
        self._token = token()
        self.waits = True
        self.is_delayed = False
        self.issue(0)

    def issue(self, number: int) -> None:
        """Vend another token, or an equal one if the number is the same."""
        self._use(token(f"{self.profile.name}-token-{number}"))

    def copy(self) -> None:
        """Vend an equal token that is another object, as after it was read from the store again."""
        self._use(replace(self._token))

    def mark_suspect(self) -> None:
        """Vend the same token as a suspect one."""
        self.now, self.later = None, replace(self._vended(), suspect=True, expires_in_s=1)

    def withdraw(self) -> None:
        """Vend no token at all."""
        self.now, self.later = None, StartingError("There has been no token yet.", retry_after_s=1)

    def delay(self) -> None:
        """Vend the next token to callers that wait until `another` is set."""
        self.now, self.is_delayed = None, True

    async def vend(self, min_ttl_s: float = 0) -> VendedToken:
        if self.is_delayed:
            await self.another.wait()
            self.is_delayed = False
            self._use(self._token)
        vended = await super().vend(min_ttl_s)
        if vended.expires_in_s < min_ttl_s:
            raise StartingError("No token has so much life left.", retry_after_s=1)
        return vended

    def current(self) -> VendedToken | None:
        if self.now is not None:
            fresh = self._vended()
            if fresh.issued_at != self.now.issued_at or self._clock.monotonic() >= self.now.valid_until:
                self.now = self.later = fresh
        return self.now

    def _use(self, used: Token) -> None:
        self._token = used
        self.now = self.later = self._vended()

    def _vended(self) -> VendedToken:
        now_s = self._clock.monotonic()
        left_s = LIFE_S + ISSUED_AT - now_s
        return VendedToken(
            token=self._token,
            suspect=False,
            expires_in_s=max(1, int(left_s)),
            issued_at=self._shown_time.at(ISSUED_AT),
            valid_until=now_s + left_s % 1,
        )
