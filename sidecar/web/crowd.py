"""The connections of one listener, held to its limits.

Where all slots are taken, a new connection gets one from, in this order:

1. the connection that owes bytes for the longest time, if that is more than `MOMENT_S`, or if a quarter of all slots
   owe bytes;
2. the connection that rests between two requests for the longest time, if that is more than `MOMENT_S`;
3. the long-poll that waits for the longest time: it is answered at once, and its connection ends;
4. the connection that rests for the longest time, then the one that owes bytes for the longest time.

A connection owes bytes while it has sent nothing, a part of a head, or a part of a body, and while it does not read its
answers. So new connections have a quarter of the slots, unless connections that wait for an answer hold them. Where all
are held so, the new one is answered 503.

Slow connections are found by a look at all of them now and then, which costs a request nothing; a timer for each would.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

from sidecar.core.limits import Limit, Limits
from sidecar.core.model import Moment, Seconds

Standing: TypeAlias = Literal["owes", "rests", "polls", "busy", "leaves"]
"""Owes bytes; has had all its answers; waits in a long-poll; waits for any other answer; is told to go."""


class Guest(Protocol):
    """One connection."""

    def is_owed(self) -> bool:
        """Whether it has sent a whole head that is not answered yet."""
        ...

    def overdue(self, now: Moment) -> Limit | None:
        """The time limit it is beyond at `now`, by the event loop's clock."""
        ...

    def give_way(self) -> None:
        """Answer what it waits for, or what it sends, at once, and end it with that answer."""
        ...

    def cut(self) -> None:
        """End it now."""
        ...


class Seat:
    """The place of one connection, whoever has it: in `standing` since `since`, by the event loop's clock."""

    __slots__ = ("guest", "placed", "since", "standing")

    def __init__(self, guest: Guest, standing: Standing, since: Moment) -> None:
        self.guest = guest
        self.standing = standing
        self.since = since
        self.placed = since
        """Its `since` when it was put where it is among the others."""


MANY = 256
"""Connections that take memory worth giving back."""

MOMENT_S: Seconds = 1
"""Within this time a client sends what it has begun to send."""

SHARE = 4
"""One connection of so many may have a body under way; as many as that may owe bytes and keep their slots."""

TURNED_AWAY = 4
"""Connections beyond the limit that may be open at a time, until they were told that there is no room, or to go."""


class Crowd:
    """Lets newcomers in, and looks after those who are.

    `limited` is told each time a limit is enforced, `dispersed` when most of many have gone.
    """

    def __init__(
        self, limits: Limits, limited: Callable[[Limit], None], dispersed: Callable[[], None] = lambda: None
    ) -> None:
        self.limits = limits
        self.limited = limited
        self._dispersed = dispersed
        self._most = 0
        self._share = max(1, limits.max_connections // SHARE)
        # Each in the order of `since`, so that the first is the next to go.
        self._seats: dict[Standing, OrderedDict[Seat, None]] = {
            "owes": OrderedDict(), "rests": OrderedDict(), "polls": OrderedDict(), "busy": OrderedDict(),
            "leaves": OrderedDict(),
        }  # fmt: skip
        self._bodies: OrderedDict[Seat, None] = OrderedDict()
        self._turned_away: OrderedDict[Seat, None] = OrderedDict()
        self._next_look: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._seats.values())) + len(self._turned_away)

    def enter(self, stranger: Guest) -> tuple[Seat, bool]:
        """Take in who has not said anything yet. False when there is no room: it is to be told so, and to go."""
        seat = Seat(stranger, "owes", _now())
        room = self._has_room() or self._make_room(seat.since)
        if room:
            self._seats["owes"][seat] = None
        else:
            self._turn_away(seat)
        self._most = max(self._most, len(self))
        if self._next_look is None:
            self._look_later()
        return seat, room

    def _has_room(self) -> bool:
        return len(self) - len(self._turned_away) - len(self._seats["leaves"]) < self.limits.max_connections

    def _make_room(self, now: Moment) -> bool:
        self.limited("connections")
        owes, rests, polls = _first(self._seats["owes"]), self._longest_resting(), _first(self._seats["polls"])
        if owes is not None and (len(self._seats["owes"]) >= self._share or now - owes.since > MOMENT_S):
            self._end(owes)
        elif rests is not None and now - rests.since > MOMENT_S:
            self._end(rests)
        elif polls is not None:
            return self._send_away(polls, now)
        else:
            seat = rests or owes
            if seat is None:
                return False
            self._end(seat)
        return True

    def _longest_resting(self) -> Seat | None:
        """Put those that were answered since where they belong, which is rarely worth it: most answers go to them."""
        resting = self._seats["rests"]
        for _ in range(len(resting)):
            seat = next(iter(resting))
            if seat.since == seat.placed:
                break
            seat.placed = seat.since
            resting.move_to_end(seat)
        return _first(resting)

    def _send_away(self, poll: Seat, now: Moment) -> bool:
        """End the long-poll with its answer. False where too many are being ended so."""
        leaving = self._seats["leaves"]
        if len(leaving) >= TURNED_AWAY:
            first = next(iter(leaving))
            if now - first.since <= MOMENT_S:
                return False
            self._end(first)
        self._move(poll, "leaves")
        poll.guest.give_way()
        return True

    def _turn_away(self, seat: Seat) -> None:
        # They take files, too: however many come at once, only a few of them are kept for the answer.
        if len(self._turned_away) >= TURNED_AWAY:
            self._end(next(iter(self._turned_away)))
        self._turned_away[seat] = None

    def stands(self, seat: Seat, standing: Standing) -> None:
        """Its connection stands so from now on; nothing changes where it does already, or is leaving, or gone."""
        if seat.standing not in (standing, "leaves"):
            self._move(seat, standing)

    def rests_again(self, seat: Seat, now: Moment) -> None:
        """It was answered without ever leaving its rest."""
        if seat.standing == "rests":
            seat.since = now
        else:
            self.stands(seat, "rests")

    def _move(self, seat: Seat, standing: Standing) -> None:
        group = self._seats[seat.standing]
        if seat not in group:
            return
        del group[seat]
        seat.standing, seat.since = standing, _now()
        seat.placed = seat.since
        self._seats[standing][seat] = None

    def begin_body(self, seat: Seat) -> None:
        """A body is waited for. Where there are too many, the one that is waited for the longest time is refused."""
        if seat not in self._seats[seat.standing]:
            return
        if len(self._bodies) >= self._share:
            self.limited("slow-body")
            self._bodies.popitem(last=False)[0].guest.give_way()
        self._bodies[seat] = None

    def end_body(self, seat: Seat) -> None:
        """It is not waited for any more."""
        self._bodies.pop(seat, None)

    def leave(self, seat: Seat) -> None:
        """Its connection is gone."""
        for group in (self._seats[seat.standing], self._turned_away, self._bodies):
            group.pop(seat, None)

    def close(self) -> None:
        """End the connections that are owed nothing."""
        for seat in self._everybody():
            if not seat.guest.is_owed():
                self._end(seat)

    def _everybody(self) -> list[Seat]:
        return [*(seat for group in self._seats.values() for seat in group), *self._turned_away]

    def _look_later(self) -> None:
        # Often enough for the shortest limit to mean something, rarely enough to cost nothing.
        every_s = min(1.0, self.limits.header_timeout_s / 4, self.limits.write_timeout_s / 4)
        self._next_look = asyncio.get_running_loop().call_later(every_s, self._look)

    def _look(self) -> None:
        """Find who is too slow, and look again as long as anybody is there."""
        self._next_look = None
        if self._most >= MANY and len(self) < self._most / 4:
            self._most = len(self)
            self._dispersed()
        if not len(self):
            return
        # Arranged first: a bug in one look must not be the end of all of them.
        self._look_later()
        now = _now()
        for seat in self._everybody():
            limit = seat.guest.overdue(now)
            if limit is not None:
                self.limited(limit)
                self._end(seat)

    def _end(self, seat: Seat) -> None:
        # At once, not when its end is heard of: until then it would still count.
        self.leave(seat)
        seat.guest.cut()


def _first(seats: OrderedDict[Seat, None]) -> Seat | None:
    return next(iter(seats), None)


def _now() -> Moment:
    return asyncio.get_running_loop().time()
