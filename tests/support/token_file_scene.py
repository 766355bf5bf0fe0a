"""A token file and the task that writes it, with a token provider that a test controls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sidecar.core.process_events import TokenFileRemoved, TokenFileWritten
from sidecar.file_operations import FileStalls
from sidecar.token_file_sink.follower import Follower
from sidecar.token_file_sink.token_file import TokenFile
from tests.support.fake_provider import FakeProvider
from tests.support.sink import ListSink


class TokenProvider(FakeProvider):
    """A token provider whose waits for another token end with a token, or when the test ends them."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_for: list[tuple[str, float]] = []
        self._waits = asyncio.Semaphore(0)
        self._looked = asyncio.Semaphore(0)

    async def changed(self, token_id: str, wait_s: float) -> bool:
        self.waited_for.append((token_id, wait_s))
        if self.shown.token_id != token_id:
            return True
        self._looked.release()
        await self._waits.acquire()
        return True

    async def looked(self) -> None:
        """Wait until the follower has written the file."""
        await self._looked.acquire()

    def end_wait(self) -> None:
        self._waits.release()

    async def next_look(self) -> None:
        self.end_wait()
        await self.looked()


class Scene:
    def __init__(self, path: Path) -> None:
        self.path, self.provider, self.sink = path, TokenProvider(), ListSink()
        self.file = TokenFile(path)
        self.stalls = FileStalls(self.sink)
        self.follower = Follower(self.provider, self.file, self.stalls, self.sink)

    def content(self) -> str | None:
        try:
            return self.path.read_text()
        except FileNotFoundError:
            return None

    def state(self) -> tuple[str | None, bool]:
        """Return what is in the file, and whether it is behind."""
        return self.content(), self.follower.behind

    @property
    def changes(self) -> list[str]:
        """The ids of the tokens written, and an empty text for each removal."""
        events = [event for event in self.sink.events if isinstance(event, TokenFileWritten | TokenFileRemoved)]
        return [event.token_id if isinstance(event, TokenFileWritten) else "" for event in events]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the follower."""
        task = asyncio.create_task(self.follower.run())
        try:
            await self.provider.looked()
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled()
