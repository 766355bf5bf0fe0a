"""An app that asks for its token at a normal rate, and measures how long it waits."""

from __future__ import annotations

import asyncio
import time

from tests.support.wire import PLAIN

EVERY_S = 0.01
LOST_S = 60
"""The time after which a response counts as lost. It is long enough for a busy machine."""
NEW_EACH = 10
"""One of this many requests is sent on a new connection."""
REQUEST_DELAY_S = 0.01
"""The delay between such a connection and its request, as in a busy program."""


class GoodCaller:
    """Waits are in seconds, with the time to connect."""

    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)
        self.waits_s: list[float] = []
        self.lost: list[str] = []
        self.ends = False

    async def ask(self) -> None:
        """Send requests until `ends` is set."""
        kept = await asyncio.open_connection(*self._where)
        count = 0
        while not self.ends:
            count += 1
            began = time.monotonic()
            own = count % NEW_EACH == 0
            try:
                reader, writer = await self._delayed() if own else kept
                writer.write(PLAIN)
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), LOST_S)
                await reader.readuntil(b"}")
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                self.lost.append(type(error).__name__)
                kept = await asyncio.open_connection(*self._where)
                continue
            self.waits_s.append(time.monotonic() - began - REQUEST_DELAY_S * own)
            if not head.startswith(b"HTTP/1.1 200 "):
                self.lost.append(head[:12].decode())
            if own:
                writer.close()
            await asyncio.sleep(max(0, began + EVERY_S - time.monotonic()))
        kept[1].close()

    async def _delayed(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        opened = await asyncio.open_connection(*self._where)
        await asyncio.sleep(REQUEST_DELAY_S)
        return opened

    def wait_s(self, share: float) -> float:
        """Return the wait that this share of the requests did not exceed."""
        return sorted(self.waits_s)[min(len(self.waits_s) - 1, int(share * len(self.waits_s)))]
