"""A machine's time, moved by hand."""

from __future__ import annotations


class HandReadings:
    """A machine's time that is moved by hand; a reboot changes the boot id and restarts the uptime."""

    def __init__(self) -> None:
        self.boot_id = "boot-1"
        self.uptime = 5_000
        self.wall = 1_767_225_600_000

    def uptime_ms(self) -> int:
        return self.uptime

    def wall_ms(self) -> int:
        return self.wall

    def advance(self, span_s: float) -> None:
        self.uptime += round(span_s * 1000)
        self.wall += round(span_s * 1000)
