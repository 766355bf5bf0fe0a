"""A file that holds a whole token, or is not there."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

from sidecar.core.model import Secret
from sidecar.core.token_file_events import TokenFileChange
from sidecar.file_sink.place import NotRegularError, require_regular
from sidecar.file_sink.temporary import remove_abandoned, temporary_beside
from sidecar.secret_file import FileStamp, stamp_of

MODE = 0o640
"""Set each time, whatever the umask. The group is how an app that runs as another user gets to read it."""
_SURE_AFTER_LOOKS = 2
"""A second change within one tick of the file system's clock leaves the stamp as it is. Looks are further apart."""


class TokenFileError(Exception):
    """The token file is not as it should be. Says why, and whether an earlier token is still in the file.

    `cause` is the error's symbol, such as ENOSPC, or `not-regular`.
    """

    def __init__(self, cause: str, *, old_token_left: bool) -> None:
        super().__init__(cause)
        self.cause = cause
        self.old_token_left = old_token_left


class TokenFile:
    """Blocks for the disk. `put` belongs in a thread, and never in two at once; `give_up` in another while it hangs.

    What follows a new name or the loss of one is written out (fsync of the folder), so that a token which was taken
    away does not come back with the power.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mode = MODE
        """What a file system without modes makes of it, once known."""
        self._seen: tuple[Secret, FileStamp, int] | None = None
        """The token that the file was read to hold; the file's stamp and mode before that."""
        self._looks = 0
        """How many looks in a row saw this."""
        self._tidied = False
        """Whether what an earlier process left behind was removed."""
        self._renaming = threading.Lock()
        """Held by `put` while it gives the new file its name, and by `give_up`: one of the two is first."""
        self._given_up = False
        """Whether the `put` that is under way must not give a file the name any more."""

    def put(self, token: Secret | None) -> TokenFileChange | None:
        """Make the file hold this token alone, without a line break; where there is none, remove the file.

        A reader gets the whole of the old token or of this one. Returns in which way the file differed before; None:
        not at all. Raises `TokenFileError`; then the old token is gone too, unless the error says otherwise: it is
        vended no more, and an app that reads it would be refused without knowing why.
        """
        self._given_up = False
        try:
            change = self._look(token)
            if change is not None or not self._tidied:
                remove_abandoned(self._path)
                self._tidied = True
            if change is None:
                return None
            if token is None:
                self._remove()
            else:
                self._write(token)
        except OSError as error:
            raise TokenFileError(_cause(error), old_token_left=self._old_token_left(token)) from None
        return change

    def give_up(self) -> bool:
        """Remove the file, and keep the `put` that is under way from making one.

        Returns whether there was one. Raises `TokenFileError`.
        """
        try:
            with self._renaming:
                self._given_up = True
                there = require_regular(self._path) is not None
                self._path.unlink(missing_ok=True)
        except OSError as error:
            raise TokenFileError(_cause(error), old_token_left=not isinstance(error, NotRegularError)) from None
        return there

    def _look(self, token: Secret | None) -> TokenFileChange | None:
        """In which way the file differs from what it should be. Raises `OSError`."""
        status = require_regular(self._path)
        if status is None:
            return None if token is None else "removed"
        if token is None:
            return "created"
        seen = token, stamp_of(status), status.st_mode
        if seen == self._seen and self._looks >= _SURE_AFTER_LOOKS:
            return None
        if not self._holds(token):
            return "content"
        if stat.S_IMODE(status.st_mode) != self._mode:
            return "mode"
        self._looks = self._looks + 1 if seen == self._seen else 1
        self._seen = seen
        return None

    def _holds(self, token: Secret) -> bool:
        expected = token.reveal().encode()
        try:
            # Without O_NONBLOCK opening a FIFO, put there just now, would wait until somebody writes to it.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                return file.read(len(expected) + 1) == expected
        except OSError:
            return False

    def _write(self, token: Secret) -> None:
        with temporary_beside(self._path, MODE) as (temporary, descriptor):
            os.fchmod(descriptor, MODE)
            self._mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            with open(descriptor, "wb", closefd=False) as file:
                file.write(token.reveal().encode())
            os.fsync(descriptor)
            with self._renaming:
                # Once more, for writing took its time.
                require_regular(self._path)
                if self._given_up:
                    raise OSError(errno.ECANCELED, "given up")
                temporary.replace(self._path)
        self._sync()

    def _remove(self) -> None:
        self._path.unlink(missing_ok=True)
        self._sync()

    def _old_token_left(self, token: Secret | None) -> bool:
        """Remove what is not this token; whether that failed, and so an old one may still be read."""
        try:
            if self._look(token) in ("content", "created"):
                self._path.unlink(missing_ok=True)
        except (NotRegularError, NotADirectoryError):
            return False
        except OSError:
            return True
        return False

    def _sync(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _cause(error: OSError) -> str:
    if isinstance(error, NotRegularError):
        return "not-regular"
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
