"""The connections of one listener, kept within its limits.

When all slots are taken, a new connection gets the slot of, in this order:

1. the connection that has been receiving for the longest time, if that is more than `SEND_GRACE_S`, or if a quarter of
   all slots are held by receiving connections;
2. the connection that has been idle for the longest time, if that is more than `SEND_GRACE_S`;
3. the long-poll that has waited the longest: it is answered at once, and its connection ends;
4. the connection that has been idle for the longest time, then the one that has been receiving for the longest time.

A connection is receiving while its client has sent nothing, a part of a head or a part of a body, or while its client
does not read the responses. So new connections have a quarter of the slots, unless connections that wait for a response
hold them. When those hold all slots, the new connection gets a 503.

Slow connections are found by periodic checks of all connections. A timer for each connection would cost every request.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

from sidecar.core.listener_limits import Limit, Limits
from sidecar.core.model import MonotonicTime, Seconds

Activity: TypeAlias = Literal["receiving", "idle", "polling", "responding", "leaving"]
"""`idle`: every request was answered, or is just being answered. `polling`: a long-poll waits. `leaving`: `give_way`
was called for a long-poll."""

MANY_CONNECTIONS = 256
"""From so many connections on, their memory is returned to the system after they ended."""

SEND_GRACE_S: Seconds = 1
"""A client needs at most this time to send the rest of a request, once it has begun."""

SHARE = 4
"""One connection in `SHARE` may be sending a body. As many may be receiving and keep their slots."""

MAX_TURNED_AWAY = 4
"""Connections beyond the limit that may be open at a time, until they are answered 503 or their long-polls end."""


class ManagedConnection(ABC):
    """One connection, and its state in the registry: `activity` since `since`, by the event loop's clock."""

    __slots__ = ("activity", "queued_at", "since")

    def __init__(self) -> None:
        self.activity: Activity = "receiving"
        self.since: MonotonicTime = 0
        self.queued_at: MonotonicTime = 0
        """The value of `since` when the connection was put at its place in the queue."""

    @property
    @abstractmethod
    def awaits_response(self) -> bool:
        """Whether the client has sent a complete head that is not answered yet."""

    @abstractmethod
    def overdue(self, now: MonotonicTime) -> Limit | None:
        """Return the time limit that is exceeded at `now`, by the event loop's clock."""

    @abstractmethod
    def give_way(self) -> None:
        """Answer the waiting request or the unfinished body at once, and end the connection with that response."""

    @abstractmethod
    def abort(self) -> None:
        """End the connection now."""


class ConnectionRegistry:
    """`limited` is called each time a limit is enforced, `on_most_ended` when most of many connections have ended."""

    def __init__(
        self, limits: Limits, limited: Callable[[Limit], None], on_most_ended: Callable[[], None] = lambda: None
    ) -> None:
        self.limits = limits
        self.limited = limited
        self._on_most_ended = on_most_ended
        self._most = 0
        self._share = max(1, limits.max_connections // SHARE)
        # Each in the order of `since`: the first connection is ended next.
        self._queues: dict[Activity, OrderedDict[ManagedConnection, None]] = {
            activity: OrderedDict() for activity in get_args(Activity)
        }
        self._bodies: OrderedDict[ManagedConnection, None] = OrderedDict()
        self._turned_away: OrderedDict[ManagedConnection, None] = OrderedDict()
        self._next_check: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._queues.values())) + len(self._turned_away)

    def add(self, connection: ManagedConnection) -> bool:
        """Add an accepted connection. Returns False when there is no slot: answer it with 503, and end it."""
        connection.since = connection.queued_at = _now()
        room = self._has_room() or self._make_room(connection.since)
        if room:
            self._queues["receiving"][connection] = None
        else:
            self._turn_away(connection)
        self._most = max(self._most, len(self))
        if self._next_check is None:
            self._check_later()
        return room

    def _has_room(self) -> bool:
        return len(self) - len(self._turned_away) - len(self._queues["leaving"]) < self.limits.max_connections

    def _make_room(self, now: MonotonicTime) -> bool:
        self.limited("connections")
        receiving, polling = _first(self._queues["receiving"]), _first(self._queues["polling"])
        idle = self._longest_idle()
        if receiving is not None and (
            len(self._queues["receiving"]) >= self._share or now - receiving.since > SEND_GRACE_S
        ):
            self._abort(receiving)
        elif idle is not None and now - idle.since > SEND_GRACE_S:
            self._abort(idle)
        elif polling is not None:
            return self._end_poll(polling, now)
        else:
            last = idle or receiving
            if last is None:
                return False
            self._abort(last)
        return True

    def _longest_idle(self) -> ManagedConnection | None:
        """Sort the connections with newer requests, then return the first. Sorting at each response would cost more."""
        idle = self._queues["idle"]
        for _ in range(len(idle)):
            connection = next(iter(idle))
            if connection.awaits_response:
                self._move(connection, "responding")
            elif connection.since == connection.queued_at:
                break
            else:
                connection.queued_at = connection.since
                idle.move_to_end(connection)
        return _first(idle)

    def _end_poll(self, poll: ManagedConnection, now: MonotonicTime) -> bool:
        """End the long-poll with its response. Returns False where too many are being ended this way."""
        leaving = self._queues["leaving"]
        if len(leaving) >= MAX_TURNED_AWAY:
            first = next(iter(leaving))
            if now - first.since <= SEND_GRACE_S:
                return False
            self._abort(first)
        self._move(poll, "leaving")
        poll.give_way()
        return True

    def _turn_away(self, connection: ManagedConnection) -> None:
        # They use file descriptors too: however many come at once, only a few are kept open for the 503.
        if len(self._turned_away) >= MAX_TURNED_AWAY:
            self._abort(next(iter(self._turned_away)))
        self._turned_away[connection] = None

    def set_activity(self, connection: ManagedConnection, activity: Activity) -> None:
        """Move the connection to the queue of `activity`; does nothing if it is there, is leaving or has ended."""
        if connection.activity not in (activity, "leaving"):
            self._move(connection, activity)

    def touch(self, connection: ManagedConnection, now: MonotonicTime) -> None:
        """Note that the connection is idle since `now`: all its requests are answered."""
        if connection.activity == "idle":
            connection.since = now
        else:
            self.set_activity(connection, "idle")

    def _move(self, connection: ManagedConnection, activity: Activity) -> None:
        queue = self._queues[connection.activity]
        if connection not in queue:
            return
        del queue[connection]
        connection.activity = activity
        connection.since = connection.queued_at = _now()
        self._queues[activity][connection] = None

    def begin_body(self, connection: ManagedConnection) -> None:
        """Note that a request waits for its body. Where too many wait, the oldest of them is refused."""
        if connection not in self._queues[connection.activity]:
            return
        if len(self._bodies) >= self._share:
            self.limited("slow-body")
            self._bodies.popitem(last=False)[0].give_way()
        self._bodies[connection] = None

    def end_body(self, connection: ManagedConnection) -> None:
        """Note that the connection's request no longer waits for its body."""
        self._bodies.pop(connection, None)

    def remove(self, connection: ManagedConnection) -> None:
        """Remove a connection that has ended."""
        for queue in (self._queues[connection.activity], self._turned_away, self._bodies):
            queue.pop(connection, None)

    def close(self) -> None:
        """End the connections that wait for no response."""
        for connection in self._all():
            if not connection.awaits_response:
                self._abort(connection)

    def _all(self) -> list[ManagedConnection]:
        return [*(connection for queue in self._queues.values() for connection in queue), *self._turned_away]

    def _check_later(self) -> None:
        # Often enough to enforce the shortest limit, and rarely enough to cost almost nothing.
        every_s = min(1.0, self.limits.header_timeout_s / 4, self.limits.write_timeout_s / 4)
        self._next_check = asyncio.get_running_loop().call_later(every_s, self._check)

    def _check(self) -> None:
        """End the connections that are too slow, and check again while any connection is open."""
        self._next_check = None
        if self._most >= MANY_CONNECTIONS and len(self) < self._most / 4:
            self._most = len(self)
            self._on_most_ended()
        if not len(self):
            return
        # Scheduled first: a bug in one check must not stop all later checks.
        self._check_later()
        now = _now()
        for connection in self._all():
            limit = connection.overdue(now)
            if limit is not None:
                self.limited(limit)
                self._abort(connection)

    def _abort(self, connection: ManagedConnection) -> None:
        # At once, not at `connection_lost`: until then the connection would still be counted.
        self.remove(connection)
        connection.abort()


def _first(queue: OrderedDict[ManagedConnection, None]) -> ManagedConnection | None:
    return next(iter(queue), None)


def _now() -> MonotonicTime:
    return asyncio.get_running_loop().time()
