"""The partner's side of one account: which tokens it issued, how long each really lives, and what it answers now."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.core.errors import FailureKind, PartnerError, UnsentError
from sidecar.core.model import Credentials, Operation, PartnerToken, Profile, Secret
from sidecar.core.ports import MaySend
from sidecar.vending import partner_call as vending_call
from tests.simulation.process import OUTSIDE
from tests.support.partner import failure


@dataclass(slots=True)
class Issued:
    """One token that the partner issued."""

    at: float
    sent_at: float
    """When its call was made: replicas count its age from then."""
    seen_at: float
    """The time of the latest store reply that the caller had read before the call."""
    dies_at: float
    declared_s: float | None
    refresh: str
    revoked: bool = False


@dataclass(slots=True)
class Call:
    """One call, from its first byte on."""

    replica: str
    operation: Operation
    own_share: bool
    """Made without a lease, because the store was unreachable."""
    sent_at: float
    over_at: float
    """When its sender gets a response or gives up. Until then the call is running."""
    outcome: str = "none"
    """An outcome as in the contract's metric, once the call has ended."""
    seen_at: float = -1
    """The time of the latest store reply that its sender had read."""
    wait_s: float = 0
    """The cool-down that a 429 requested."""


@dataclass
class Account:
    """The account's behaviour at the partner. The fault injector changes the fields of the first group."""

    rng: random.Random
    now: Callable[[], float]
    usual_latency_s: float = 0.2
    latency_s: float = 0.2
    connect_s: float = 0
    """A connection takes up to this long; the first byte goes out after that."""
    trouble: FailureKind | None = None
    share: float = 1.0
    """The share of calls that get the failure `trouble`."""
    retry_after_s: float | None = None
    silent: bool = False
    """Accepts calls and never responds."""
    accepted: set[str] = field(default_factory=lambda: {"secret-0-canary"})

    declared_s: float | None = None
    true_life_s: float = 10_000
    revokes_on_issue: bool = False
    same_token: bool = False
    """A grant returns the current token until its end."""
    extends: bool = False
    """A refresh returns the current token with a new lifetime."""
    revokes_within_s: float = 0
    """A token that is returned again is revoked within this time, in half of the cases."""
    can_refresh: bool = False

    tokens: dict[str, Issued] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    newest: str = ""

    def reset(self) -> None:
        self.trouble, self.silent, self.latency_s, self.revokes_within_s = None, False, self.usual_latency_s, 0

    def accepts(self, access: str) -> bool:
        """Whether a payment with this token would go through now."""
        token = self.tokens.get(access)
        return token is not None and not token.revoked and self.now() < token.dies_at

    def revoke(self) -> None:
        if self.newest:
            self.tokens[self.newest].revoked = True

    @property
    def may_be_vended_again(self) -> bool:
        """Whether a reported token may be vended again, because the partner returned it after the report."""
        return self.same_token or self.extends

    def take(self, call: Call, secret: str, refresh: str, answer: asyncio.Future[PartnerToken]) -> None:
        """A call has arrived."""
        try:
            token: PartnerToken | PartnerError = self._decide(call, secret, refresh)
        except PartnerError as error:
            token = error
        if self.silent or answer.done():
            return
        if isinstance(token, PartnerError):
            answer.set_exception(token)
        else:
            answer.set_result(token)

    def _decide(self, call: Call, secret: str, refresh: str) -> PartnerToken:
        if self.trouble is not None and self.rng.random() < self.share:
            throttled = self.trouble is FailureKind.THROTTLED
            call.wait_s = self.retry_after_s or 0
            raise failure(
                self.trouble, status=429 if throttled else 500, retry_after_s=self.retry_after_s if throttled else None
            )
        if refresh and self._owner_of(refresh) != self.newest:
            raise failure(FailureKind.UNAUTHORIZED, status=401)
        if secret and secret not in self.accepted:
            raise failure(FailureKind.UNAUTHORIZED, status=401)
        again = self.extends if refresh else self.same_token
        if again and self.newest and self.accepts(self.newest):
            self._return_again(extend=bool(refresh))
        else:
            self._issue(call)
        token = self.tokens[self.newest]
        return PartnerToken(
            access=Secret(self.newest),
            refresh=Secret(token.refresh) if token.refresh else None,
            role="API_USER",
            lifetime_s=token.declared_s and token.dies_at - self.now(),
        )

    def _return_again(self, *, extend: bool) -> None:
        token = self.tokens[self.newest]
        if extend:
            token.dies_at = max(token.dies_at, self.now() + (self.declared_s or self.true_life_s))
        if self.revokes_within_s and self.rng.random() < 0.5:
            delay_s = self.rng.random() * self.revokes_within_s
            asyncio.get_running_loop().call_later(delay_s, setattr, token, "revoked", True, context=OUTSIDE)

    def _issue(self, call: Call) -> None:
        now = self.now()
        if self.revokes_on_issue:
            self.revoke()
        self.newest = f"token-{len(self.tokens) + 1}-canary"
        life_s = self.declared_s or self.true_life_s
        refresh = f"refresh-{len(self.tokens) + 1}-canary" if self.can_refresh else ""
        self.tokens[self.newest] = Issued(now, call.sent_at, call.seen_at, now + life_s, self.declared_s, refresh)

    def _owner_of(self, refresh: str) -> str:
        return next((access for access, token in self.tokens.items() if token.refresh == refresh), "")


class Door:
    """The `Partner` port of one replica."""

    def __init__(
        self,
        account: Account,
        profile: Profile,
        replica: str,
        calling: Callable[[Call], None],
    ) -> None:
        self._account = account
        self._profile = profile
        self._replica = replica
        self._calling = calling

    @property
    def can_refresh(self) -> bool:
        return self._account.can_refresh

    async def grant(self, credentials: Credentials, role: str, may_send: MaySend) -> PartnerToken:
        return await self._call(Operation.GRANT, credentials.api_secret.reveal(), "", may_send)

    async def refresh(
        self, refresh_token: Secret, credentials: Credentials, role: str, may_send: MaySend
    ) -> PartnerToken:
        return await self._call(Operation.REFRESH, "", refresh_token.reveal(), may_send)

    async def _call(self, operation: Operation, secret: str, refresh: str, may_send: MaySend) -> PartnerToken:
        if self._account.connect_s:
            await asyncio.sleep(self._account.rng.random() * self._account.connect_s)
        if not may_send():
            raise UnsentError
        loop, timeout_s = asyncio.get_running_loop(), self._profile.partner_timeout_s
        call = Call(self._replica, operation, not _has_lease(may_send), loop.time(), loop.time() + timeout_s)
        self._calling(call)
        answer: asyncio.Future[PartnerToken] = loop.create_future()
        delay_s = self._account.rng.random() * self._account.latency_s
        loop.call_later(delay_s, self._account.take, call, secret, refresh, answer, context=OUTSIDE)
        call.outcome = "timeout"
        try:
            async with asyncio.timeout(timeout_s):
                token = await answer
        except TimeoutError:
            raise PartnerError(FailureKind.TIMEOUT) from None
        except PartnerError as error:
            call.outcome = error.kind.value
            raise
        else:
            call.outcome = "ok"
            # The partner returned this token again, so its lifetime starts again.
            issued = self._account.tokens[token.access.reveal()]
            issued.sent_at = max(issued.sent_at, call.sent_at)
            return token
        finally:
            call.over_at = loop.time()


def _has_lease(may_send: MaySend) -> bool:
    """Whether this call is made under a lease. Only its caller has this information."""
    call = getattr(may_send, "__self__", None)
    assert isinstance(call, vending_call.PartnerCall)
    return call.lease.is_shared
