"""The values of the core: secrets, credentials, tokens and the profile (one partner account) they belong to."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn, Self, TypeAlias

from sidecar.core.account import account_of_key, profile_id_of

Seconds: TypeAlias = float
"""A duration."""
UtcTime: TypeAlias = float
"""UTC epoch seconds, by the store's clock unless said otherwise."""
MonotonicTime: TypeAlias = float
"""Seconds of this process's monotonic clock; means nothing to another process."""


class Secret:
    """Text that only an explicit `reveal()` returns.

    Masked in `repr`, `str`, f-strings and `dataclasses.asdict`; refuses pickling; compares in constant time.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    # A hash would let a secret become a dict key, and so part of the dict's repr.
    __hash__ = None  # type: ignore[assignment]

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Credentials:
    """The credentials the partner issued, read together. `signing_key` is for signatures; None: none are made."""

    api_key: Secret
    api_secret: Secret
    signing_key: Secret | None = None
    credentials_id: str = field(init=False)
    """Identifies the credentials without revealing them; the same on every replica."""
    account: str = field(init=False)
    """The API key's account: `Profile.account`, unless the operator named one."""

    def __post_init__(self) -> None:
        # Computed once: each computation leaves copies of the credentials in freed memory.
        text = f"{len(self.api_key.reveal())}:{self.api_key.reveal()}{self.api_secret.reveal()}"
        made = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8, person=b"credentials").hexdigest()
        object.__setattr__(self, "credentials_id", made)
        object.__setattr__(self, "account", account_of_key(self.api_key.reveal()))


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens: `host` and `port` (0: any free one), or the `path` of a unix socket.

    A path that begins with `@` is the name of an abstract socket, which has no file.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def file(self) -> str:
        """The file of a unix socket; empty where there is none."""
        return "" if self.path.startswith("@") else self.path

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Lifetime(StrEnum):
    """Where a token's lifetime comes from: the partner's declaration, a setting, or apps' reports."""

    DECLARED = "declared"
    ASSUMED = "assumed"
    LEARNED = "learned"


class Operation(StrEnum):
    """The two partner calls that end in a token."""

    GRANT = "grant"
    REFRESH = "refresh"


class Reason(StrEnum):
    """Why a refresh attempt was started."""

    START = "start"
    MISS = "miss"
    AHEAD = "ahead"
    REJECTED = "rejected"
    MIN_TTL = "min-ttl"

    @property
    def caller_requested(self) -> bool:
        """Whether an app, not the schedule, requested the call. Such calls share half of the budget."""
        return self in (Reason.REJECTED, Reason.MIN_TTL)


class StoreFailure(StrEnum):
    """What a replica without a token does while the store is down."""

    LOCAL = "local"
    FAIL = "fail"


def token_id_of(access: Secret) -> str:
    """Name a token without revealing it: one-way, the same on every replica, 32 hex digits.

    A plain digest is enough because the token is long and random; nobody can enumerate candidates.
    """
    return hashlib.sha256(b"token-id:" + access.reveal().encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One access token and its data. Never mixes fields of two generations.

    `issued_at` is the time the request for it was sent, the earliest it can have been issued. It is by the store's
    clock. Apps get `VendedToken.issued_at` instead.
    `fence` orders tokens: the larger one is the newer.
    """

    access: Secret
    refresh: Secret | None = None
    token_id: str
    role: str
    fence: int
    issued_at: UtcTime
    lifetime_s: Seconds
    lifetime: Lifetime
    credentials_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerToken:
    """A token in the partner's response. `lifetime_s` is None when it declared none."""

    access: Secret
    refresh: Secret | None
    role: str
    lifetime_s: Seconds | None


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `calls` partner calls in any window of `window_s` seconds."""

    calls: int
    window_s: Seconds

    @property
    def caller_requested_calls(self) -> int:
        """The share for reports and `min_ttl`: half, at least 1, or a rejected token could not be replaced."""
        return max(1, self.calls // 2)

    def share_of(self, fleet_size: int) -> Budget:
        """What one replica of `fleet_size` may spend on its own while the store is down.

        The sum over the fleet never exceeds the whole: below one call a window, the window grows instead.
        """
        whole_calls = self.calls // fleet_size
        if whole_calls >= 1:
            return Budget(whole_calls, self.window_s)
        return Budget(1, self.window_s * fleet_size / self.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One partner account and the rules for its token. Holds no secret."""

    name: str = "default"
    partner: str = "pay1st"
    base_url: str
    role: str = "API_USER"
    account: str = ""
    """`account_named` or `account_of_key` of `core.account`; empty until the API key has been read."""
    variant: str = ""
    """What else distinguishes this account's tokens from others of the same credentials; empty: nothing."""
    lifetime_s: Seconds = 900
    refresh_at: float = 0.8
    max_stale_s: Seconds = 3600
    margin_s: Seconds = 15
    budget: Budget = field(default_factory=lambda: Budget(6, 60))
    partner_timeout_s: Seconds = 10
    cooldown_s: Seconds = 30
    request_timeout_s: Seconds = 5
    store_timeout_s: Seconds = 0.5
    store_failure: StoreFailure = StoreFailure.LOCAL
    fleet_size: int = 10
    poll_s: Seconds = 2
    idle_s: Seconds = 0
    profile_id: str = field(init=False)
    """The account's name in the store, whatever the profile's name is. Contains no secret but the one-way account."""

    def __post_init__(self) -> None:
        made = profile_id_of(self.partner, self.base_url, self.role, self.account, self.variant)
        object.__setattr__(self, "profile_id", made)

    @property
    def lease_limit_s(self) -> Seconds:
        """How long a lease lasts: the call, the store before and after it, and a second for the process itself."""
        return self.partner_timeout_s + 2 * self.store_timeout_s + LEASE_SLACK_S


LEASE_SLACK_S: Seconds = 1.0
