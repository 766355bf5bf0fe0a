"""Two listeners in front of one vendor, one with warm answers and one without, and callers who do the same to both."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import replace

from sidecar.core.limits import Limits
from sidecar.core.request_events import Endpoint, RequestServed
from sidecar.vending.shown_time import ShownTime
from sidecar.vending.vendor import Vended
from sidecar.web.guards import Guards, GuardSettings
from sidecar.web.http_server import HttpServer
from sidecar.web.token_api import TokenApi
from sidecar.web.warm import WarmAnswers
from tests.fakes.sink import ListSink
from tests.fakes.vendor import FakeVendor, FixedClock, vended
from tests.fuzz.conversation import Wire, settle

LIFE_S = 900
_DATE = re.compile(rb"\r\nDate: [^\r]*")


class AgingVendor(FakeVendor):
    """Vends `now` while there is one; what is left of its life runs down by the clock."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__()
        self._clock = clock
        self._shown_time = ShownTime(clock)
        self.later = vended(suspect=True)
        # Who waits for another token waits until `release`.
        self.patient = True

    def current(self) -> Vended | None:
        if self.now is None:
            return None
        now = self._clock.monotonic()
        left_s = LIFE_S - now
        return replace(
            self.now,
            expires_in_s=max(1, int(left_s)),
            issued_at=self._shown_time.at(0),
            good_until=now + left_s % 1,
        )

    def issue(self, number: int) -> None:
        self.now = vended(f"token-{number}", expires_in_s=1)


class _Tallies:
    """Counts what had a warm answer."""

    def __init__(self) -> None:
        self.counted: Counter[tuple[str, str, str]] = Counter()

    def __call__(self, profile: str, endpoint: Endpoint) -> _Tally:
        return _Tally(self, profile, endpoint)


class _Tally:
    def __init__(self, tallies: _Tallies, profile: str, endpoint: Endpoint) -> None:
        self._tallies, self._profile, self._endpoint = tallies, profile, endpoint

    def count(self, code: str, duration_s: float) -> None:
        self._tallies.counted[self._profile, self._endpoint, code] += 1


class Side:
    """One listener and its callers' wires."""

    def __init__(self, vendor: AgingVendor, clock: FixedClock, callers: int, warm: WarmAnswers | None) -> None:
        self.sink = ListSink()
        api = TokenApi(
            {"default": vendor}, Guards(GuardSettings()), self.sink, clock, {"default": "AccessToken"}, warm=warm
        )
        self._server = HttpServer(api, self.sink, "vending", Limits(), warm)
        self.wires: list[Wire] = []
        self._callers = callers

    def connect(self) -> None:
        for _ in range(self._callers):
            wire = Wire(asyncio.get_running_loop())
            wire.attach(self._server())
            self.wires.append(wire)

    async def send(self, caller: int, data: bytes) -> None:
        wire = self.wires[caller]
        if not wire.is_closing():
            wire.receive(data)
        await settle(wire)

    @property
    def answered(self) -> list[tuple[bytes, bool]]:
        """What each caller got, without the dates, and whether it was hung up on."""
        return [(_DATE.sub(b"", bytes(wire.written)), wire.is_closing()) for wire in self.wires]

    @property
    def counted(self) -> Counter[tuple[str, str, str]]:
        return Counter((event.profile, event.endpoint, event.code) for event in self.sink.of(RequestServed))


class Twins:
    """Make it inside a running loop."""

    def __init__(self, callers: int = 2) -> None:
        self.clock = FixedClock()
        # Not a whole second: an answer that says whole seconds would be over at once.
        self.clock.passed_s = 0.25
        self.vendor = AgingVendor(self.clock)
        self.vendor.issue(0)
        self.tallies = _Tallies()
        self.warm = Side(self.vendor, self.clock, callers, WarmAnswers(self.clock, self.tallies))
        self.plain = Side(self.vendor, self.clock, callers, None)

    def connect(self) -> None:
        """Everybody comes, and says nothing yet."""
        for side in (self.warm, self.plain):
            side.connect()

    async def send(self, caller: int, data: bytes) -> None:
        for side in (self.warm, self.plain):
            await side.send(caller, data)

    async def release(self) -> None:
        """Everybody who waits for another token is told that there is one."""
        self.vendor.another.set()
        for wire in (*self.warm.wires, *self.plain.wires):
            await settle(wire)
        self.vendor.another.clear()

    def agree(self) -> None:
        assert self.warm.answered == self.plain.answered
        assert self.warm.counted + self.tallies.counted == self.plain.counted

    async def hang_up(self) -> None:
        for side in (self.warm, self.plain):
            for wire in side.wires:
                wire.close()
                await settle(wire)
