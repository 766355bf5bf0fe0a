"""How far this machine's clock is from the partner's, measured from the `Date` of its responses."""

from __future__ import annotations

from collections import deque

from sidecar.core.events import PartnerClockDiffers
from sidecar.core.model import MonotonicTime, Seconds, UtcTime
from sidecar.core.ports import Clock, EventSink

KEPT = 5
"""The offset is the median of the latest measurements, so that one slow or odd response does not move it far."""
WARNED_ABOVE_S: Seconds = 120
"""The partner accepts timestamps within five minutes."""
_HALF_A_SECOND: Seconds = 0.5
"""`Date` has whole seconds, rounded down (RFC 9110 section 5.6.7): its clock is this much later on average."""


class PartnerClock:
    """The clock of one profile's partner.

    A measurement relates the partner's time to the monotonic clock. So it stays right when this machine's clock is set.
    `corrects`: whether timestamps are by the partner's clock once it was measured. Otherwise an offset above
    `WARNED_ABOVE_S` is an event, once until it is smaller again.
    """

    def __init__(self, profile: str, clock: Clock, sink: EventSink, *, corrects: bool = True) -> None:
        self._profile = profile
        self._clock = clock
        self._sink = sink
        self._corrects = corrects
        self._measured: deque[UtcTime] = deque(maxlen=KEPT)
        """The partner's UTC at the monotonic clock's zero."""
        self._has_warned = False

    def measure(self, date: UtcTime, sent_at: MonotonicTime, received_at: MonotonicTime) -> None:
        """Add one response: its `Date`, and when its request was sent and when it was received.

        The partner wrote its `Date` between the two. The middle is wrong by half of the call at most.
        """
        self._measured.append(date + _HALF_A_SECOND - (sent_at + received_at) / 2)
        offset_s = self.offset_s
        differs = offset_s is not None and abs(offset_s) > WARNED_ABOVE_S
        if offset_s is not None and differs and not self._has_warned and not self._corrects:
            self._sink.emit(PartnerClockDiffers(profile=self._profile, offset_s=round(offset_s, 1)))
        self._has_warned = differs

    @property
    def offset_s(self) -> Seconds | None:
        """How far the partner's clock is ahead of this machine's; None before the first measurement."""
        if not self._measured:
            return None
        # Not by `statistics`: its import needs memory and time in each sidecar, whether it signs or not.
        ordered, count = sorted(self._measured), len(self._measured)
        median = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
        return median + self._clock.monotonic() - self._clock.wall()

    def time_for_partner(self, at: UtcTime) -> UtcTime:
        """Return what a timestamp of this machine's time `at` has to say, so that the partner accepts it."""
        offset_s = self.offset_s if self._corrects else None
        return at + (offset_s or 0)
