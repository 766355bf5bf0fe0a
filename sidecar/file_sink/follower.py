"""One task a profile: its token file holds what a caller would get now, and is not there when that is none.

A file cannot be marked as suspect, so a suspect token is in no file.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno

from sidecar.core.errors import NoTokenError
from sidecar.core.events import Event, InternalFailure, TokenFileFailed, TokenFileRemoved, TokenFileWritten
from sidecar.core.model import Seconds, Token
from sidecar.core.ports import EventSink
from sidecar.core.trace import bare_trace
from sidecar.file_sink.token_file import TokenFile
from sidecar.vending.vendor import Vendor

LOOK_S: Seconds = 1
"""How long a rejected token may stay in its file, and how soon a write that failed is tried again."""


class Follower:
    """Runs until it is cancelled. To look is to ask: a profile with a file never rests."""

    def __init__(self, vendor: Vendor, file: TokenFile, sink: EventSink) -> None:
        self._vendor = vendor
        self._file = file
        self._sink = sink
        self._held: str | None = None
        """The id of the token in the file, empty when there is no file; None when that is not known."""
        self.behind = True
        """There was no token yet that the file could follow: it may be missing, or hold what was there before us."""
        self.failed = False
        """Whether the latest write or removal failed; it is tried again."""

    async def run(self) -> None:
        # What an earlier process left may be the token we are about to get; without one in time it goes.
        with contextlib.suppress(NoTokenError):
            await self._vendor.vend()
        while True:
            try:
                changed = await self._follow()
            except Exception as error:  # noqa: BLE001 - a bug must not leave a token in the file for ever
                changed = False
                profile = self._vendor.profile.name
                self._sink.emit(InternalFailure(profile=profile, where="file sink", trace=bare_trace(error)))
            if not changed:
                # The suspect one's id, too, or its change from nothing to itself would be one for ever.
                await self._vendor.changed(self._vendor.snapshot().token_id, LOOK_S)

    async def _follow(self) -> bool:
        """Whether the file was changed; while that took, the token may have changed again."""
        vended = self._vendor.current()
        token = None if vended is None else vended.token
        token_id = "" if token is None else token.token_id
        if token_id == self._held:
            return False
        profile, any_token = self._vendor.profile.name, bool(self._vendor.snapshot().token_id)
        try:
            done = await asyncio.to_thread(self._put, token)
        except OSError as error:
            self._held = None
            self.failed = True
            cause = errno.errorcode.get(error.errno or 0, type(error).__name__)
            self._sink.emit(TokenFileFailed(profile=profile, cause=cause))
            return False
        self._held = token_id
        self.failed = False
        self.behind = self.behind and not any_token
        if done is not None:
            self._sink.emit(done)
        return True

    def _put(self, token: Token | None) -> Event | None:
        profile = self._vendor.profile.name
        if token is not None:
            self._file.write(token.access)
            return TokenFileWritten(profile=profile, token_id=token.token_id)
        return TokenFileRemoved(profile=profile) if self._file.remove() else None
