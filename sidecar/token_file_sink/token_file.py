"""A file that holds a complete token, or does not exist.

Each write makes a temporary file in the same folder. The writer holds a lock (flock) on it, and the kernel releases the
lock when the process ends. So a file that can be locked has no writer, and is removed. This also works where processes
cannot see each other, as in the containers of a pod. If the file system has no locks, nothing is removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecar.core.model import Secret
from sidecar.core.process_events import TokenFileChange
from sidecar.secret_file import FileStamp, stamp_of
from sidecar.token_file_sink.place import MODE, NotRegularError, require_regular

_SURE_AFTER_LOOKS = 2
"""A second change within one tick of the file system's clock does not change the stamp. Checks are further apart."""


class TokenFileError(Exception):
    """The token file could not be corrected. Has the cause, and whether an earlier token is still in the file.

    `cause` is the error's symbol, such as ENOSPC, or `not-regular`.
    """

    def __init__(self, cause: str, *, old_token_left: bool) -> None:
        super().__init__(cause)
        self.cause = cause
        self.old_token_left = old_token_left


class TokenFile:
    """One token file. Its methods block for the disk.

    Call `put` in a thread, and never in two at once; call `give_up` in another thread while `put` hangs. After each
    rename or removal the folder is synced (fsync), so that a removed token does not come back after a power failure.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mode = MODE
        """The mode a written file has; it differs from `MODE` on a file system without modes."""
        self._seen: tuple[Secret, FileStamp, int] | None = None
        """The token read from the file, with the file's stamp and mode before the reading."""
        self._looks = 0
        """The number of consecutive checks that saw `_seen`."""
        self._tidied = False
        """Whether the temporary files of earlier processes were removed."""
        self._renaming = threading.Lock()
        """Held by `put` while it renames the new file, and by `give_up`, so that they run one after the other."""
        self._given_up = False
        """Whether the `put` under way must not rename its file any more."""

    def put(self, token: Secret | None) -> TokenFileChange | None:
        """Make the file hold only this token, without a line break; if `token` is None, remove the file.

        A reader gets the complete old or new token. Returns how the file differed before; None if it did not differ.
        Raises `TokenFileError`. Then the old token is removed too, unless the error has `old_token_left`: it is not
        vended any more, and the partner would reject calls with it.
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
        """Remove the file, and keep the `put` under way from creating one.

        Returns whether there was a file. Raises `TokenFileError`.
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
        """Return how the file differs from its intended state; None if it does not differ. Raises `OSError`."""
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
            # Without O_NONBLOCK, opening a FIFO that was just put there would block until a writer opens it.
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
                # Checked again, because writing took time.
                require_regular(self._path)
                if self._given_up:
                    raise OSError(errno.ECANCELED, "given up")
                temporary.replace(self._path)
        self._sync()

    def _remove(self) -> None:
        self._path.unlink(missing_ok=True)
        self._sync()

    def _old_token_left(self, token: Secret | None) -> bool:
        """Remove a file without this token. Return whether that failed, so that an old token may still be read."""
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


@contextmanager
def temporary_beside(path: Path, mode: int) -> Iterator[tuple[Path, int]]:
    """Create a locked, empty file in the folder of `path`, and yield its path and a descriptor open for writing.

    The file is removed at the end, unless it was renamed. Raises `OSError`.
    """
    temporary, descriptor = _made(path, mode)
    try:
        yield temporary, descriptor
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
        os.close(descriptor)


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files of `path` that no running process writes. Ignores errors."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.tmp")
    with contextlib.suppress(OSError):
        for other in path.parent.iterdir():
            if pattern.fullmatch(other.name):
                with contextlib.suppress(OSError):
                    _remove_unlocked(other)


def _made(path: Path, mode: int) -> tuple[Path, int]:
    while True:
        # In the same folder, because a file cannot be renamed to another file system.
        temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
        # O_EXCL: only a new file is opened, and a planted link is not followed.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Another process may have found the file before it was locked, and removed it.
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    finally:
        os.close(descriptor)
