"""One task a profile: its token file holds what a caller would get now, and is not there when that is none.

A file cannot be marked as suspect, so a suspect token is in no file. The file is looked at once a second: what another
process changed is put right, whoever wrote it. While an operation on the file hangs, an old token is removed from it in
another thread: often only the fsync hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TypeAlias

from sidecar.core.errors import NoTokenError
from sidecar.core.events import Event, InternalFailure
from sidecar.core.model import Seconds, Token
from sidecar.core.ports import EventSink
from sidecar.core.safe_traceback import bare_trace
from sidecar.core.token_file_events import (
    TokenFileChange,
    TokenFileChanged,
    TokenFileFailed,
    TokenFileRemoved,
    TokenFileWritten,
)
from sidecar.file_operations import FileOperationError, FileOperations, FileStalls
from sidecar.file_sink.token_file import TokenFile, TokenFileError
from sidecar.vending.api import TokenProvider

LOOK_S: Seconds = 1
"""The time between two looks. So long a rejected token may stay in its file, unless the disk hangs, and a file that was
changed or could not be written may stay as it is."""

_Outcome: TypeAlias = TokenFileChange | TokenFileError | None


@dataclass(slots=True, kw_only=True)
class _Put:
    """An operation that makes the file hold `token`, or removes it."""

    token: Token | None
    any_token: bool
    """Whether there was a token at its start, a suspect one included."""
    outcome: asyncio.Future[_Outcome]
    given_up: bool = False

    @property
    def token_id(self) -> str:
        return _id_of(self.token)


class Follower:
    """Runs until it is cancelled. To look is to ask: a profile with a file never rests."""

    def __init__(self, vendor: TokenProvider, file: TokenFile, stalls: FileStalls, sink: EventSink) -> None:
        self._vendor = vendor
        self._file = file
        self._sink = sink
        self._profile = vendor.profile.name
        self._puts = FileOperations("token-file", stalls, self._profile)
        self._removals = FileOperations("token-file", stalls, self._profile)
        self._put: _Put | None = None
        """The operation under way."""
        self._held: str | None = None
        """The id of the token in the file, empty when there is no file; None when that is not known."""
        self.behind = True
        """There was no token yet that the file could follow: it may be missing, or hold what was there before us."""
        self.failed = False
        """Whether the latest write or removal failed or hangs; it is tried again."""

    async def run(self) -> None:
        # What an earlier process left may be the token we are about to get; without one in time it goes.
        with contextlib.suppress(NoTokenError):
            await self._vendor.vend()
        while True:
            # The suspect one's id, too, or its change from nothing to itself would be one for ever. Taken now, for the
            # token may change while it is written.
            token_id = self._vendor.snapshot().token_id
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - a bug must not leave a token in the file for ever
                self._sink.emit(InternalFailure(profile=self._profile, where="file sink", trace=bare_trace(error)))
            if self._put is None:
                await self._vendor.changed(token_id, LOOK_S)

    async def _look(self) -> None:
        """Put the file right; return after `LOOK_S` when that takes longer."""
        if self._put is None:
            if self._removals.busy:
                # It might remove what is written now.
                if self._removals.stalled:
                    self._fail("stalled", old_token_left=True)
                return
            self._put = self._start()
        await asyncio.wait((self._put.outcome,), timeout=LOOK_S)
        if not self._put.outcome.done():
            await self._wait_on(self._put)
            return
        put, self._put = self._put, None
        self._finish(put)

    # -- operations that return ---------------------------------------------------------------------------------------

    def _start(self) -> _Put:
        token, any_token = self._token(), bool(self._vendor.snapshot().token_id)

        def work() -> _Outcome:
            try:
                return self._file.put(None if token is None else token.access)
            except TokenFileError as error:
                return error

        return _Put(token=token, any_token=any_token, outcome=self._puts.start(work))

    def _token(self) -> Token | None:
        """The token that belongs in the file now."""
        vended = self._vendor.current()
        return None if vended is None else vended.token

    def _finish(self, put: _Put) -> None:
        before, self._held = self._held, None
        if put.given_up:
            return
        try:
            outcome = put.outcome.result()
        except FileOperationError:
            self._fail("no-thread", old_token_left=before not in ("", put.token_id))
            return
        if isinstance(outcome, TokenFileError):
            self._fail(outcome.cause, old_token_left=outcome.old_token_left)
            return
        self._held = put.token_id
        self.failed = False
        self.behind = self.behind and not put.any_token
        if (done := self._done(put, outcome, before)) is not None:
            self._sink.emit(done)

    def _done(self, put: _Put, change: TokenFileChange | None, before: str | None) -> Event | None:
        if put.token_id == before:
            return None if change is None else TokenFileChanged(profile=self._profile, change=change)
        if put.token is not None:
            return TokenFileWritten(profile=self._profile, token_id=put.token_id)
        return None if change is None else TokenFileRemoved(profile=self._profile)

    def _fail(self, cause: str, *, old_token_left: bool) -> None:
        self.failed = True
        self._sink.emit(TokenFileFailed(profile=self._profile, cause=cause, old_token_left=old_token_left))

    # -- operations that hang -----------------------------------------------------------------------------------------

    async def _wait_on(self, put: _Put) -> None:
        """See to it that no old token stays in the file, and say what cannot be done, while `put` does not return."""
        token = self._token()
        if _id_of(token) == self._held:
            return
        # The old token may be good for a while, so a disk that is merely slow is waited for. A rejected one is not.
        rejected = token is None and put.token is not None
        if (rejected or self._puts.stalled) and self._held != "" and not self._removals.busy:
            put.given_up = True
            await self._remove()
        if self._puts.stalled and _id_of(token) != self._held:
            self._fail("stalled", old_token_left=self._held != "")

    async def _remove(self) -> None:
        """Remove the file while a `put` hangs; return after `LOOK_S` when that hangs too."""

        def work() -> bool | TokenFileError:
            try:
                return self._file.give_up()
            except TokenFileError as error:
                return error

        removal = self._removals.start(work)
        removal.add_done_callback(self._removed)
        await asyncio.wait((removal,), timeout=LOOK_S)

    def _removed(self, removal: asyncio.Future[bool | TokenFileError]) -> None:
        try:
            outcome = removal.result()
        except FileOperationError:
            self._fail("no-thread", old_token_left=True)
            return
        if isinstance(outcome, TokenFileError):
            self._fail(outcome.cause, old_token_left=outcome.old_token_left)
            return
        # The operation that hangs may have removed it before.
        gone = outcome or bool(self._held)
        self._held = ""
        if gone:
            self._sink.emit(TokenFileRemoved(profile=self._profile))


def _id_of(token: Token | None) -> str:
    return "" if token is None else token.token_id
