"""A clock that never goes back, over processes, restarts, reboots and steps of the wall clock."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Protocol

import msgspec

from sidecar.core.ports import Clock
from sidecar.stores.documents import Id, Whole

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class KeptTime(msgspec.Struct, frozen=True):
    """The clock state that a machine's processes share, in milliseconds. `last_ms` is the latest stored instant."""

    boot_id: Id
    offset_ms: Annotated[int, msgspec.Meta(gt=-(10**14), lt=10**14)]
    last_ms: Whole


class Readings(Protocol):
    """The clocks of a machine."""

    @property
    def boot_id(self) -> str:
        """Return an id that changes at each boot; empty if the machine has none."""
        ...

    def uptime_ms(self) -> int:
        """Return the uptime, the same for all processes. It goes back only at a reboot, and it never stops."""
        ...

    def wall_ms(self) -> int:
        """UTC since the epoch; may jump."""
        ...


class MachineReadings:
    """The clocks of this machine. On systems other than Linux, uptime stops while the machine sleeps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.boot_id = _boot_id()

    def uptime_ms(self) -> int:
        boottime = getattr(time, "CLOCK_BOOTTIME", None)
        uptime_ns = time.monotonic_ns() if boottime is None else time.clock_gettime_ns(boottime)
        return uptime_ns // 1_000_000

    def wall_ms(self) -> int:
        return round(self._clock.wall() * 1000)


def time_now(kept: KeptTime | None, readings: Readings) -> KeptTime:
    """Return the clock state to store, with the current time in `last_ms`.

    Until the next boot the time is the uptime plus an offset, so a step of the wall clock changes nothing. With another
    boot id, or a reading below the stored one (a machine restored to an earlier state), the time continues from the
    wall clock, or from the last instant if that is later.
    """
    uptime_ms = readings.uptime_ms()
    if kept is not None and kept.boot_id == readings.boot_id and kept.offset_ms + uptime_ms >= kept.last_ms:
        return KeptTime(kept.boot_id, kept.offset_ms, kept.offset_ms + uptime_ms)
    now_ms = max(readings.wall_ms(), 0 if kept is None else kept.last_ms)
    return KeptTime(readings.boot_id, now_ms - uptime_ms, now_ms)


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
