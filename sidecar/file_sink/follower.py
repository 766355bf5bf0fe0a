"""One task a profile: its token file holds what a caller would get now, and is not there when that is none.

A file cannot be marked as suspect, so a suspect token is in no file. The file is looked at once a second: what another
process changed is put right, whoever wrote it.
"""

from __future__ import annotations

import asyncio
import contextlib

from sidecar.core.errors import NoTokenError
from sidecar.core.events import Event, InternalFailure
from sidecar.core.model import Seconds, Token
from sidecar.core.ports import EventSink
from sidecar.core.token_file_events import (
    TokenFileChange,
    TokenFileChanged,
    TokenFileFailed,
    TokenFileRemoved,
    TokenFileWritten,
)
from sidecar.core.trace import bare_trace
from sidecar.file_sink.token_file import TokenFile, TokenFileError
from sidecar.vending.vendor import Vendor

LOOK_S: Seconds = 1
"""How long a rejected token may stay in its file, and how soon a file that was changed is put right or a write that
failed is tried again."""


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
            # The suspect one's id, too, or its change from nothing to itself would be one for ever. Taken now, for the
            # token may change while it is written.
            token_id = self._vendor.snapshot().token_id
            try:
                await self._follow()
            except Exception as error:  # noqa: BLE001 - a bug must not leave a token in the file for ever
                profile = self._vendor.profile.name
                self._sink.emit(InternalFailure(profile=profile, where="file sink", trace=bare_trace(error)))
            await self._vendor.changed(token_id, LOOK_S)

    async def _follow(self) -> None:
        vended = self._vendor.current()
        token = None if vended is None else vended.token
        any_token = bool(self._vendor.snapshot().token_id)
        try:
            change = await asyncio.to_thread(self._file.put, None if token is None else token.access)
        except TokenFileError as error:
            self._held = None
            self.failed = True
            profile = self._vendor.profile.name
            failed = TokenFileFailed(profile=profile, cause=error.cause, old_token_left=error.old_token_left)
            self._sink.emit(failed)
            return
        before, self._held = self._held, "" if token is None else token.token_id
        self.failed = False
        self.behind = self.behind and not any_token
        if (done := self._done(token, change, before)) is not None:
            self._sink.emit(done)

    def _done(self, token: Token | None, change: TokenFileChange | None, before: str | None) -> Event | None:
        profile = self._vendor.profile.name
        if self._held == before:
            return None if change is None else TokenFileChanged(profile=profile, change=change)
        if token is not None:
            return TokenFileWritten(profile=profile, token_id=token.token_id)
        return None if change is None else TokenFileRemoved(profile=profile)
