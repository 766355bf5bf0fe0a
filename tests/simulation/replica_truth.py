"""What is true of one profile, whatever its replicas believe."""

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
    """What one replica has done and said since its process began."""

    local_calls: list[float] = field(default_factory=list)
    vended: Token | None = None
    """The token it vended last, unmarked."""
    first_vended_at: dict[tuple[str, int], float] = field(default_factory=dict)
    """By the token's id and fence, marked or not."""
    rejected: set[str] = field(default_factory=set)
    """Ids of tokens it said it would replace."""
    seen_at: float = -1
    """The moment as of which it follows the store."""
    cool: CoolDown | None = None
    """The last cool-down that the store told it of, unless it told of a newer token since."""


@dataclass(slots=True)
class CoolDown:
    """A cool-down after a 429, as the store told it to a replica."""

    heard_at: float
    until: float
    fence: int


@dataclass(slots=True)
class WindowLost:
    """The store lost its data, or its clock was set forward: it does not know the permits of its window any more.

    `witnesses` had seen it before; `undone` once one of them has told it again.
    """

    at: float
    by_clock: bool
    witnesses: frozenset[str]
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
    """When an app first complained of a token, by id."""
    marked_at: dict[str, float] = field(default_factory=dict)
    """When the store took a report, by the token's id."""
    forgot_at: list[float] = field(default_factory=list)
    age_error_s: float = 1.5
    """An adopted token counts from before the question that brought it, and a stopped process reads an answer late: a
    token may look this much older than it is, never younger."""
    clock_set_at: float = -1
    set_back_at: list[float] = field(default_factory=list)
    windows_lost: list[WindowLost] = field(default_factory=list)
    split: bool = False
    """Two masters: nothing is shared by all."""
    healed_at: float = -1

    def begin(self, replica: str) -> None:
        """A process starts: it remembers nothing."""
        self.replica_truths[replica] = ReplicaTruth()

    def forgot(self) -> None:
        """The store lost something, or its clock was set: what it was told may be gone."""
        self.forgot_at.append(self.now())
        self.lease, self.cool_until = None, 0
        self.marked_at.clear()
        for replica_truth in self.replica_truths.values():
            replica_truth.rejected.clear()

    def clock_was_set(self, forward_s: float) -> None:
        """Until its next token, the store may think wrongly of the age of the one it has.

        Set back, it forgets nothing: all that runs, runs longer.
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
        witnesses = (
            name
            for name, replica_truth in self.replica_truths.items()
            if replica_truth.seen_at >= 0 and self.lives(name)
        )
        self.windows_lost.append(WindowLost(self.now(), by_clock, frozenset(witnesses)))

    def heard(self, replica: str, state: State) -> None:
        """This replica has an answer of the store."""
        replica_truth, now, pause = self.replica_truths[replica], self.now(), state.pause
        if replica_truth.cool is not None and state.token_fence > replica_truth.cool.fence:
            replica_truth.cool = None
        if pause is None or pause.kind is not FailureKind.THROTTLED or pause.left_s <= 0:
            return
        if replica_truth.cool is None or now + pause.left_s > replica_truth.cool.until:
            replica_truth.cool = CoolDown(now, now + pause.left_s, pause.fence)

    def reads_late(self, replica: str) -> None:
        """It was stopped, and has yet to read what came meanwhile."""
        replica_truth = self.replica_truths[replica]
        if replica_truth.cool is not None:
            replica_truth.cool.heard_at = self.now()

    def told_again(self, replica: str, *, clock_stepped: bool) -> None:
        """This replica told the store what it remembers; the true ages too, where it noticed that the clock was set."""
        for lost in self.windows_lost:
            lost.undone |= replica in lost.witnesses and (clock_stepped or not lost.by_clock)

    def is_mistaken(self, token_id: str, vouched_at: float) -> bool:
        """The partner handed this token out by a call that was sent after somebody had complained of it.

        Then whoever complains once more is not believed.
        """
        return vouched_at > self.reported_at.get(token_id, vouched_at)

    def heal(self) -> None:
        self.split, self.healed_at = False, self.now()

    def split_since(self, moment: float) -> bool:
        return self.split or self.healed_at >= moment

    def forgot_since(self, moment: float) -> int:
        """How often, after this moment."""
        return sum(at >= moment for at in self.forgot_at) + self.split

    def windows_lost_since(self, moment: float) -> int:
        """How often the permits of a whole window were forgotten, and nobody has told of them again.

        After a step of the clock only if nobody is left who could: whoever lives tells at its next look. Where the data
        is lost, newcomers may reach the store before anybody who knows better, who may be cut off for long.
        """
        return sum(
            lost.at >= moment and not lost.undone and not (lost.by_clock and any(map(self.lives, lost.witnesses)))
            for lost in self.windows_lost
        )
