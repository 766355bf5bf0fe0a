"""The true state of one profile, independent of what its replicas have stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sidecar.core.errors import FailureKind
from sidecar.core.model import Profile, Token
from sidecar.core.shared_state import State
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
class ReplicaTruth:
    """The calls and responses of one replica since its process began."""

    local_calls: list[float] = field(default_factory=list)
    vended: Token | None = None
    """The token it vended last, unmarked."""
    first_vended_at: dict[tuple[str, int], float] = field(default_factory=dict)
    """Vended tokens by id and fence, marked or not."""
    rejected: set[str] = field(default_factory=set)
    """Ids of reported tokens that the replica promised to replace."""
    seen_at: float = -1
    """The time of the latest store reply that it has read."""
    cool: CoolDown | None = None
    """The last cool-down that the store returned to it, unless the store returned a newer token since."""


@dataclass(slots=True)
class CoolDown:
    """A cool-down after a 429, as the store returned it to a replica."""

    read_at: float
    until: float
    fence: int


@dataclass(slots=True)
class WindowLost:
    """The store lost its data, or its clock was set forward: the permits of its window are gone.

    `observers` are the replicas that had read them before. `undone` is true once one of them has seeded the store.
    """

    at: float
    by_clock: bool
    observers: frozenset[str]
    undone: bool = False


@dataclass
class Truth:
    """Shared by the three watches: of the store, of the partner and of the apps."""

    profile: Profile
    account: Account
    now: Callable[[], float]
    bad_way_at: Callable[[str], float]
    """When a replica last had no good way to the store."""
    lives: Callable[[str], bool]
    """Whether a replica's process has not ended."""
    replica_truths: dict[str, ReplicaTruth] = field(default_factory=dict)
    lease: Lease | None = None
    cool_until: float = 0
    shared_calls: list[Call] = field(default_factory=list)
    reported_at: dict[str, float] = field(default_factory=dict)
    """When an app first reported a token, by id."""
    marked_at: dict[str, float] = field(default_factory=dict)
    """When the store took a report, by the token's id."""
    forgot_at: list[float] = field(default_factory=list)
    age_error_s: float = 1.5
    """An adopted token's age counts from before the request that returned it, and a stopped process reads a reply late:
    the age may be this much too high, never too low."""
    clock_set_at: float = -1
    set_back_at: list[float] = field(default_factory=list)
    windows_lost: list[WindowLost] = field(default_factory=list)
    split: bool = False
    """Whether there are two masters, so that no state is shared by all replicas."""
    healed_at: float = -1

    def begin(self, replica: str) -> None:
        """A process starts without any memory."""
        self.replica_truths[replica] = ReplicaTruth()

    def forgot(self) -> None:
        """The store lost something, or its clock was set: what was recorded there may be gone."""
        self.forgot_at.append(self.now())
        self.lease, self.cool_until = None, 0
        self.marked_at.clear()
        for replica_truth in self.replica_truths.values():
            replica_truth.rejected.clear()

    def clock_was_set(self, forward_s: float) -> None:
        """Until its next token, the store may compute a wrong age for the token it has.

        A clock that is set back loses nothing: all time limits are extended.
        """
        self.clock_set_at = self.now()
        if forward_s < 0:
            self.set_back_at.append(self.now())
        else:
            self._lost_a_window(by_clock=True)
            self.forgot()

    def data_was_lost(self) -> None:
        self._lost_a_window(by_clock=False)
        self.forgot()

    def _lost_a_window(self, *, by_clock: bool) -> None:
        observers = (
            name
            for name, replica_truth in self.replica_truths.items()
            if replica_truth.seen_at >= 0 and self.lives(name)
        )
        self.windows_lost.append(WindowLost(self.now(), by_clock, frozenset(observers)))

    def received(self, replica: str, state: State) -> None:
        """This replica has received a reply of the store."""
        replica_truth, now, pause = self.replica_truths[replica], self.now(), state.pause
        if replica_truth.cool is not None and state.token_fence > replica_truth.cool.fence:
            replica_truth.cool = None
        if pause is None or pause.kind is not FailureKind.THROTTLED or pause.left_s <= 0:
            return
        if replica_truth.cool is None or now + pause.left_s > replica_truth.cool.until:
            replica_truth.cool = CoolDown(now, now + pause.left_s, pause.fence)

    def reads_late(self, replica: str) -> None:
        """The replica was stopped, and has not yet read the replies that came meanwhile."""
        replica_truth = self.replica_truths[replica]
        if replica_truth.cool is not None:
            replica_truth.cool.read_at = self.now()

    def seeded(self, replica: str, *, clock_stepped: bool) -> None:
        """This replica sent the store what it remembers, with the true ages where it detected a clock step."""
        for lost in self.windows_lost:
            lost.undone |= replica in lost.observers and (clock_stepped or not lost.by_clock)

    def is_mistaken(self, token_id: str, confirmed_at: float) -> bool:
        """The partner returned this token to a call that was sent after the token had been reported.

        Further reports of the token are then taken as mistaken.
        """
        return confirmed_at > self.reported_at.get(token_id, confirmed_at)

    def heal(self) -> None:
        self.split, self.healed_at = False, self.now()

    def split_since(self, moment: float) -> bool:
        return self.split or self.healed_at >= moment

    def forgot_since(self, moment: float) -> int:
        """How often the store lost something after this moment."""
        return sum(at >= moment for at in self.forgot_at) + self.split

    def windows_lost_since(self, moment: float) -> int:
        """How often the permits of a whole window were lost, and no replica has seeded them again.

        A clock step counts only if no such replica is left: a live one seeds at its next look. Where the data
        is lost, new replicas may reach the store before older ones, which may be cut off for long.
        """
        return sum(
            lost.at >= moment and not lost.undone and not (lost.by_clock and any(map(self.lives, lost.observers)))
            for lost in self.windows_lost
        )
