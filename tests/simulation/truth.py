"""What is true of one profile, whatever its replicas believe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.core.model import Profile, Token
from tests.simulation.account import Account, Call

ROUNDING_S = 0.01


class ViolationError(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class Lease:
    nonce: str
    fence: int
    until: float


@dataclass(slots=True)
class Seat:
    """What one replica has done and said since its process began."""

    local_calls: list[float] = field(default_factory=list)
    vended: Token | None = None
    """The token it vended last, unmarked."""
    rejected: dict[str, int] = field(default_factory=dict)
    """Ids of tokens it said it would replace, with their fence."""


@dataclass
class Truth:
    """Shared by the three watches: of the store, of the partner and of the apps."""

    profile: Profile
    account: Account
    now: Callable[[], float]
    bad_way_at: Callable[[str], float]
    """When a replica last had no good way to the store."""
    seats: dict[str, Seat] = field(default_factory=dict)
    lease: Lease | None = None
    cool_until: float = 0
    shared_calls: list[Call] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)
    """Ids of all tokens any app has complained of."""
    forgot_at: list[float] = field(default_factory=list)
    age_error_s: float = 1.5
    """An adopted token counts from before the question that brought it, and a stopped process reads an answer late: a
    token may look this much older than it is, never younger."""
    clock_set_at: float = -1
    split: bool = False
    """Two masters: nothing is shared by all."""
    healed_at: float = -1

    def begin(self, replica: str) -> None:
        """A process starts: it remembers nothing."""
        self.seats[replica] = Seat()

    def forgot(self) -> None:
        """The store lost something, or its clock was set: what it was told may be gone."""
        self.forgot_at.append(self.now())
        self.lease, self.cool_until = None, 0
        for seat in self.seats.values():
            seat.rejected.clear()

    def clock_was_set(self) -> None:
        """Until its next token, the store may think wrongly of the age of the one it has."""
        self.clock_set_at = self.now()
        self.forgot()

    def heal(self) -> None:
        self.split, self.healed_at = False, self.now()

    def split_since(self, moment: float) -> bool:
        return self.split or self.healed_at >= moment

    def forgot_since(self, moment: float) -> int:
        """How often, after this moment."""
        return sum(at >= moment for at in self.forgot_at) + self.split
