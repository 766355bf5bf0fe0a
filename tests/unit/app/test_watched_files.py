"""Files are looked at again and again: at once when asked, and after a bug too."""

from __future__ import annotations

import asyncio

from sidecar.app.watched_files import RepeatedLook
from sidecar.core.events import InternalFailure
from tests.support.replica import HANG_S, until
from tests.support.sink import ListSink


class Looks:
    def __init__(self) -> None:
        self.count = 0

    async def look(self) -> None:
        self.count += 1
        if self.count == 1:
            raise KeyError("a bug")


async def test_a_look_is_made_again_and_again_also_after_a_bug() -> None:
    looks, sink = Looks(), ListSink()
    task = asyncio.create_task(RepeatedLook(looks.look, 0.001, sink).run())
    await until(lambda: looks.count > 2)
    task.cancel()
    (event,) = sink.of(InternalFailure)
    assert "KeyError" in event.trace
    assert "a bug" not in event.trace


async def test_a_look_is_made_at_once_when_it_is_asked_for() -> None:
    looks = Looks()
    repeated = RepeatedLook(looks.look, 2 * HANG_S, ListSink())
    task = asyncio.create_task(repeated.run())
    repeated.now()
    await until(lambda: looks.count == 1)
    repeated.now()
    await until(lambda: looks.count == 2)
    task.cancel()
