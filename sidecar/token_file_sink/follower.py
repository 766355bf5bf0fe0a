"""One task per profile keeps its token file: it holds the token a caller would get now, and is removed without one.

A file cannot be marked as suspect, so a suspect token is in no file. The file is checked once a second, and changes by
other processes are corrected. While an operation on the file hangs, another thread removes an old token: often only the
fsync hangs.
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
from sidecar.core.process_events import (
    TokenFileChange,
    TokenFileChanged,
    TokenFileFailed,
    TokenFileRemoved,
    TokenFileWritten,
)
from sidecar.core.safe_traceback import safe_traceback
from sidecar.file_operations import FileOperationError, FileOperations, FileStalls
from sidecar.token_file_sink.token_file import TokenFile, TokenFileError
from sidecar.vending.api import TokenProvider

LOOK_S: Seconds = 1
"""The time between two checks. For this long a rejected token may stay in its file (longer if the disk hangs), and a
file that was changed or could not be written may stay uncorrected."""

_Outcome: TypeAlias = TokenFileChange | TokenFileError | None


@dataclass(slots=True, kw_only=True)
class _Put:
    """An operation that makes the file hold `token`, or removes it."""

    token: Token | None
    any_token: bool
    """Whether there was a token at the start of the operation, also a suspect one."""
    outcome: asyncio.Future[_Outcome]
    given_up: bool = False

    @property
    def token_id(self) -> str:
        return _id_of(self.token)


class Follower:
    """Runs until it is cancelled. Each check counts as use: a profile with a token file never becomes idle."""

    def __init__(self, provider: TokenProvider, file: TokenFile, stalls: FileStalls, sink: EventSink) -> None:
        self._provider = provider
        self._file = file
        self._sink = sink
        self._profile = provider.profile.name
        self._puts = FileOperations("token-file", stalls, self._profile)
        self._removals = FileOperations("token-file", stalls, self._profile)
        self._put: _Put | None = None
        """The operation under way."""
        self._held: str | None = None
        """The id of the token in the file; empty when there is no file; None when unknown."""
        self.behind = True
        """Whether there was no token yet: the file may be missing, or hold content from an earlier process."""
        self.failed = False
        """Whether the latest write or removal failed or hangs. It is retried."""

    async def run(self) -> None:
        # A file of an earlier process may hold the token we are about to get. If none arrives in time, it is removed.
        with contextlib.suppress(NoTokenError):
            await self._provider.vend()
        while True:
            # Includes a suspect token's id; otherwise it would count as a change each time. Taken before the check,
            # because the token may change while it is written.
            token_id = self._provider.snapshot().token_id
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - a bug must not leave a token in the file for ever
                self._sink.emit(InternalFailure(profile=self._profile, where="file sink", trace=safe_traceback(error)))
            if self._put is None:
                await self._provider.changed(token_id, LOOK_S)

    async def _look(self) -> None:
        """Correct the file; return after `LOOK_S` when that takes longer."""
        if self._put is None:
            if self._removals.busy:
                # The removal might remove a file that is written now.
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
        token, any_token = self._token(), bool(self._provider.snapshot().token_id)

        def work() -> _Outcome:
            try:
                return self._file.put(None if token is None else token.access)
            except TokenFileError as error:
                return error

        return _Put(token=token, any_token=any_token, outcome=self._puts.start(work))

    def _token(self) -> Token | None:
        """The token that belongs in the file now."""
        vended = self._provider.current()
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
        """While `put` does not return, remove an old token from the file, and emit an event for what fails."""
        token = self._token()
        if _id_of(token) == self._held:
            return
        # The old token may still be valid, so we wait for a slow disk. For a rejected token we do not wait.
        rejected = token is None and put.token is not None
        if (rejected or self._puts.stalled) and self._held != "" and not self._removals.busy:
            put.given_up = True
            await self._remove()
        if self._puts.stalled and _id_of(token) != self._held:
            self._fail("stalled", old_token_left=self._held != "")

    async def _remove(self) -> None:
        """Remove the file while a `put` hangs; return after `LOOK_S` when the removal hangs too."""

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
        # The operation that hangs may have removed the file before.
        gone = outcome or bool(self._held)
        self._held = ""
        if gone:
            self._sink.emit(TokenFileRemoved(profile=self._profile))


def _id_of(token: Token | None) -> str:
    return "" if token is None else token.token_id
