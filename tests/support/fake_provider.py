"""A token provider that a test controls, and a clock that stands still until the test moves it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sidecar.core.model import Lifetime, Profile, Secret, Token, token_id_of
from sidecar.core.policy import Condition
from sidecar.vending.api import Report, Snapshot, VendedToken
from sidecar.vending.partner_clock import PartnerClock
from tests.support.sink import ListSink

NOW = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""


def token(text: str = "access-token-one", *, fence: int = 1, issued_at: float = NOW, lifetime_s: float = 900) -> Token:
    return Token(
        access=Secret(text),
        refresh=Secret(f"refresh-of-{text}"),
        token_id=token_id_of(Secret(text)),
        role="API_USER",
        fence=fence,
        issued_at=issued_at,
        lifetime_s=lifetime_s,
        lifetime=Lifetime.ASSUMED,
        credentials_id="c0ffee",
    )


def vended(
    text: str = "access-token-one", *, suspect: bool = False, expires_in_s: int = 900, valid_until: float = 0
) -> VendedToken:
    return VendedToken(
        token=token(text),
        suspect=suspect,
        expires_in_s=1 if suspect else expires_in_s,
        issued_at=NOW,
        valid_until=valid_until,
    )


def snapshot(profile: str = "default") -> Snapshot:
    """Return the snapshot of a healthy profile."""
    return Snapshot(
        profile=profile,
        profile_id="pay1st-0123456789abcdef",
        role="API_USER",
        partner="pay1st",
        base_url="https://partner.test",
        ready=True,
        condition=Condition.FRESH,
        left_s=900,
        why_not="",
        token_id=token_id_of(Secret("access-token-one")),
        issued_at=NOW,
        expires_at=NOW + 900,
        lifetime_s=900,
        lifetime="assumed",
        learned_s=0,
        declared_s=0,
        next_refresh_at=NOW + 720,
        last_success_at=NOW,
        cooldown_until=0,
        pause_kind="",
        pause_until=0,
        budget_calls=6,
        budget_window_s=60,
        budget_remaining=5,
        lease_owner="",
        lease_until=0,
        waiters=0,
        resting=False,
        credentials_valid=True,
        store_up=True,
        stored_token_unreadable=False,
        retry_at=0,
        last_failure=None,
        has_outcome=True,
    )


class FakeProvider:
    """Vends `now` from memory; without it, `vend` gives `later` or raises it when it is an error."""

    def __init__(self, name: str = "default") -> None:
        self._profile = Profile(name=name, base_url="https://partner.test")
        self.now: VendedToken | None = vended()
        self.later: VendedToken | Exception = vended()
        self.verdict: Report | Exception = Report("refreshing")
        self.shown = snapshot(name)
        self.reported: list[str] = []
        self.min_ttls_s: list[float] = []
        self.waits_s: list[float] = []
        self.waiting = asyncio.Event()
        self.another = asyncio.Event()
        self.waits = False
        self.signing_key: Secret | None = Secret(f"signing-key-of-{name}")
        self.partner_clock = PartnerClock(name, FixedClock(), ListSink())

    @property
    def profile(self) -> Profile:
        return self._profile

    def current(self) -> VendedToken | None:
        return self.now

    def holds(self, token: Token) -> bool:
        return self.now is not None and self.now.token is token and not self.now.suspect

    async def vend(self, min_ttl_s: float = 0) -> VendedToken:
        self.min_ttls_s.append(min_ttl_s)
        if isinstance(self.later, Exception):
            raise self.later
        return self.later

    async def changed(self, token_id: str, wait_s: float) -> bool:
        """Wait for `another` if `waits` is set; otherwise return at once whether `another` is set."""
        self.waits_s.append(wait_s)
        self.waiting.set()
        if self.waits:
            await self.another.wait()
        return self.another.is_set()

    async def report(self, token_id: str) -> Report:
        self.reported.append(token_id)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict

    def snapshot(self) -> Snapshot:
        return self.shown

    def show(self, **changes: object) -> None:
        self.shown = replace(self.shown, **changes)  # type: ignore[arg-type]  # names are checked by the dataclass


class FixedClock:
    """The `Clock` port, at `NOW` until a test adds to `passed_s`; `wall_step_s` moves the wall clock only."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.wall_step_s = 0.0

    def monotonic(self) -> float:
        return self.passed_s

    def wall(self) -> float:
        return NOW + self.passed_s + self.wall_step_s

    async def sleep(self, delay_s: float) -> None:
        self.passed_s += delay_s

    def jitter(self) -> float:
        return 0.5

    def new_id(self) -> str:
        return "0123456789abcdef"
