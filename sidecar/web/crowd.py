"""Everybody who is connected to one listener, held to its limits.

A flood of connections makes room by itself: who has been silent longest goes first, those that never asked anything
before those that did. Who is slow is found by looking at all of them now and then, which costs a request nothing; a
timer for each would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from sidecar.core.limits import Limit, Limits
from sidecar.core.model import Moment


class Guest(Protocol):
    """One connection."""

    def silent_since(self) -> tuple[bool, Moment] | None:
        """Whether it ever asked anything, and since when it asks nothing; None while it is owed an answer."""
        ...

    def overdue(self, now: Moment) -> Limit | None:
        """The time limit it is beyond at `now`, by the event loop's clock."""
        ...

    def cut(self) -> None:
        """End it now."""
        ...


MANY = 256
"""Connections that take memory worth giving back."""

TURNED_AWAY = 4
"""Connections beyond the limit that may be open at a time, until they were told that there is no room."""


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
        # In the order they came, so that the first is the one to make room.
        self._strangers: dict[Guest, None] = {}
        self._known: dict[Guest, None] = {}
        self._turned_away: dict[Guest, None] = {}
        self._next_look: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._strangers) + len(self._known) + len(self._turned_away)

    def enter(self, stranger: Guest) -> bool:
        """Take in who has not said anything yet. False when there is no room: it is to be told so, and to go."""
        room = self._has_room() or self._make_room()
        if room:
            self._strangers[stranger] = None
        else:
            self._turn_away(stranger)
        self._most = max(self._most, len(self))
        if self._next_look is None:
            self._look_later()
        return room

    def _has_room(self) -> bool:
        return len(self._strangers) + len(self._known) < self.limits.max_connections

    def _make_room(self) -> bool:
        self.limited("connections")
        longest_silent = next(iter(self._strangers), None) or self._longest_silent()
        if longest_silent is not None:
            self._end(longest_silent)
        return longest_silent is not None

    def _turn_away(self, stranger: Guest) -> None:
        # They take files, too: however many come at once, only a few of them are kept for the answer.
        if len(self._turned_away) >= TURNED_AWAY:
            self._end(next(iter(self._turned_away)))
        self._turned_away[stranger] = None

    def know(self, stranger: Guest, guest: Guest) -> None:
        """The stranger spoke: `guest` stands in its place from now on."""
        self.leave(stranger)
        self._known[guest] = None

    def leave(self, guest: Guest) -> None:
        """Its connection is gone."""
        for group in (self._strangers, self._known, self._turned_away):
            group.pop(guest, None)

    def close(self) -> None:
        """End the connections that are owed nothing."""
        for guest in self._everybody():
            if guest.silent_since() is not None:
                self._end(guest)

    def _everybody(self) -> list[Guest]:
        return [*self._strangers, *self._known, *self._turned_away]

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
        now = asyncio.get_running_loop().time()
        for guest in self._everybody():
            limit = guest.overdue(now)
            if limit is not None:
                self.limited(limit)
                self._end(guest)

    def _longest_silent(self) -> Guest | None:
        silent = [(since, guest) for guest in self._known if (since := guest.silent_since()) is not None]
        return min(silent, key=lambda pair: pair[0])[1] if silent else None

    def _end(self, guest: Guest) -> None:
        # At once, not when its end is heard of: until then it would still count.
        self.leave(guest)
        guest.cut()
