"""A file that holds a whole token, or is not there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Secret

MODE = 0o640
"""Set each time, whatever the umask. The group is how an app that runs as another user gets to read it."""


class TokenFile:
    """Blocks for the disk: both methods belong in a thread, and never in two at once.

    What follows a new name or the loss of one is written out (fsync of the folder), so that a token which was taken
    away does not come back with the power.
    """

    def __init__(self, path: Path, origin: str) -> None:
        """`origin` names the setting. Raises `ConfigurationError` when no file can be made there."""
        self._path = path
        # In the same folder, for a rename across file systems copies. One name: what a crash leaves is written over.
        self._temporary = path.parent / f".{path.name}.tmp"
        if not path.name or path.is_dir():
            raise ConfigurationError([f"{origin}: {path} is a directory, and must be a file, there or not"])
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise ConfigurationError(
                [f"{origin}: {path.parent} must be a directory that user {os.geteuid()} may write to"]
            )

    def write(self, token: Secret) -> None:
        """Put this token there, nothing else, without a line break: a reader gets the whole of the old one or of this.

        Raises `OSError`; then no file is there, unless it cannot be removed either.
        """
        try:
            self._write_aside(token)
            self._temporary.replace(self._path)
            self._sync()
        except OSError:
            # The token before it is vended no more, and the partner may have ended it.
            for path in (self._temporary, self._path):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            raise

    def remove(self) -> bool:
        """Whether there was one. Raises `OSError`."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        self._sync()
        return True

    def _write_aside(self, token: Secret) -> None:
        self._temporary.unlink(missing_ok=True)
        # Made by us and by nobody else: a link that somebody put there is not followed.
        descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, MODE)
            file.write(token.reveal().encode())
            file.flush()
            os.fsync(descriptor)

    def _sync(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
