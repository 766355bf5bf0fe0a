"""Connections that only record calls, and a registry of them."""

from __future__ import annotations

from sidecar.core.listener_limits import Limit, Limits
from sidecar.core.model import MonotonicTime
from sidecar.web.server.connection_registry import Activity, ConnectionRegistry, ManagedConnection


class FakeConnection(ManagedConnection):
    """A connection that only records its calls."""

    awaits_response = False

    def __init__(self) -> None:
        super().__init__()
        self.limit: Limit | None = None
        self.aborted = self.gave_way = False

    def give_way(self) -> None:
        self.gave_way = True

    def overdue(self, now: MonotonicTime) -> Limit | None:
        return self.limit

    def abort(self) -> None:
        self.aborted = True


class ObservedRegistry:
    """A registry with `slots` slots, and the limits that it reports. Make it while a virtual loop runs."""

    def __init__(self, slots: int) -> None:
        self.hit: list[Limit] = []
        self.left: list[int] = []
        """How many connections were left each time it reported that most had ended."""
        self.registry = ConnectionRegistry(
            Limits(max_connections=slots), self.hit.append, lambda: self.left.append(len(self.registry))
        )

    def add(self, activity: Activity = "receiving") -> FakeConnection:
        connection = FakeConnection()
        assert self.registry.add(connection)
        connection.awaits_response = activity in ("polling", "responding")
        self.registry.set_activity(connection, activity)
        return connection

    def fill(self, *activities: Activity) -> list[FakeConnection]:
        return [self.add(activity) for activity in activities]

    def fill_with(self, activity: Activity, count: int) -> list[FakeConnection]:
        return [self.add(activity) for _ in range(count)]

    def gone(self, *connections: FakeConnection) -> list[bool]:
        return [connection.aborted for connection in connections]
