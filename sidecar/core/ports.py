"""The five ports of the core: time, the shared state, the partner, the credentials, and events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from sidecar.core.events import Event
from sidecar.core.model import Credentials, MonotonicTime, PartnerToken, Seconds, Secret, Token, UtcTime
from sidecar.core.shared_state import (
    ClaimRequest,
    ClaimResult,
    Committed,
    FailureReport,
    LearnedLifetime,
    Rejection,
    ReplicaMemory,
    State,
)

MaySend: TypeAlias = Callable[[], bool]


class Clock(Protocol):
    """Time, randomness and ids. The core and the use cases have no other source of them."""

    def monotonic(self) -> MonotonicTime: ...

    def wall(self) -> UtcTime:
        """This machine's UTC; may jump."""
        ...

    async def sleep(self, delay_s: Seconds) -> None: ...

    def jitter(self) -> float:
        """A random number in [0, 1)."""
        ...

    def new_id(self) -> str:
        """16 random hex digits."""
        ...


class SharedState(Protocol):
    """What the replicas of one profile agree on. Each method is one atomic decision in one round trip.

    Every method may be repeated with the same arguments after a lost reply and then gives the same answer. Each raises
    `StoreError`, and nothing else, when the store cannot be used. A value under our keys that cannot be used counts as
    missing and is named in `State.damaged`. Cancelling a call is never needed for correctness.
    """

    async def claim(self, ask: ClaimRequest) -> ClaimResult:
        """Decide who may call now.

        In this order, so that no replica calls for a stored token: the same nonce's running lease is granted again ·
        **Adopt** when a token newer than `ask.known` is stored and not rejected · **Held** while a lease runs, or while
        a store that lost its data (`ask.epoch` is another) is younger than the lease limit · **CoolingDown** while the
        pause runs, or the block of `ask.credentials_id` · **OverBudget** · **Granted**, which spends one permit and
        takes the next fence in the same step. No permit is refunded.

        A new fence is even, larger than every earlier one and at least the store's clock in milliseconds, so that
        fences go on growing through a loss of data. Odd ones are left to calls that a replica makes on its own.
        """
        ...

    async def commit(self, nonce: str, token: Token, age_s: Seconds, learned: LearnedLifetime) -> Committed:
        """Store the token unless a newer fence's is there; end the lease if it is still ours.

        `age_s` is the token's age by the holder's clock as this was sent; it decides how long the store keeps it. A
        stored token ends what was recorded before its grant: the pause, the failures, the rejection of its credentials,
        and the report of its own id, which becomes `confirmed`. What was recorded since stays. A report of another
        token is over.
        """
        ...

    async def fail(self, failed: FailureReport) -> State:
        """End our lease and start the pause for all replicas.

        UNAUTHORIZED pauses only the credentials; every other kind pauses the profile. A running pause is never
        shortened. A failure whose lease was lost and whose fence is older than the stored token's is ignored unless
        THROTTLED: a 429 applies to all. `drop_refresh` counts in any case.
        """
        ...

    async def reject(self, token_id: str, age_s: Seconds) -> Rejection:
        """Mark the token as reported if it is the stored one and not confirmed. The first report's `age_s` is kept."""
        ...

    async def peek(self, known: int) -> State:
        """Read only. `known` as in `ClaimRequest`."""
        ...

    async def seed(self, remembered: ReplicaMemory) -> State:
        """Merge what a replica remembers: a union or a maximum by fence for each fact; nothing is lowered or forgotten.

        Ends the lease when the offered token's fence is the lease's. Where the store's clock was set
        (`remembered.clock_stepped`), the offered ages of the stored token and of the permits count. A store whose epoch
        is not the remembered one is marked as having lost its data, which starts the quarantine described at `claim`.
        """
        ...


class Partner(Protocol):
    """The partner's token endpoint. Both methods raise `PartnerError`, and nothing else.

    `may_send` is called right before the first byte is sent. If it returns False, `UnsentError` is raised instead: a
    process that was paused must not call on a lost lease, nor during a cool-down that began meanwhile.
    """

    @property
    def can_refresh(self) -> bool:
        """Whether the preset documents a refresh endpoint."""
        ...

    async def grant(self, credentials: Credentials, role: str, may_send: MaySend) -> PartnerToken: ...

    async def refresh(
        self, refresh_token: Secret, credentials: Credentials, role: str, may_send: MaySend
    ) -> PartnerToken: ...


class CredentialsSource(Protocol):
    """The source of the credentials."""

    def read(self) -> Credentials:
        """Return the newest known credentials, consistent. Cheap enough to be called every few seconds.

        Raises `CredentialsError`.
        """
        ...


class EventSink(Protocol):
    """Receives events. Never raises, never blocks."""

    def emit(self, event: Event) -> None: ...


class AuditSink(EventSink, Protocol):
    """Receives `Audited`, of which there may be one for each request."""

    def is_told(self, profile: str, token_id: str, caller: str) -> bool:
        """Whether one more event that this caller got this token would have no effect, so that it need not be made."""
        ...


class RequestTally(Protocol):
    """Counts the vending requests of one profile and endpoint; cheap enough for every one."""

    def count(self, code: str, duration_s: Seconds) -> None:
        """One request was answered: `ok`, `not-modified` or an error code of the contract; any other is ignored."""
        ...
