"""Reads credentials outside the event loop: a call to a file system that hangs (dead NFS or FUSE) may never return."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.core.errors import CredentialsError
from sidecar.core.model import Credentials
from sidecar.core.ports import CredentialsSource
from sidecar.file_operations import BackgroundReading, FileHangsError, FileOperationError, FileOperations


class BackgroundCredentials:
    """A `CredentialsSource` that returns the result of the last reading of another source and starts the next reading.

    Only the first call waits for a reading. All calls must come from the thread of one event loop. That loop must run
    from the second call on.
    """

    def __init__(
        self,
        inner: CredentialsSource,
        operations: FileOperations,
        place: str,
        *,
        keep: Callable[[Credentials], Credentials] = lambda found: found,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`place` is named in errors. `keep` gets credentials that differ from the last; it returns them or equal ones.

        `on_change` is called in the event loop when the result of `read` changes, except after the first reading.
        """
        self._place = place
        self._on_change = on_change
        self._said_stalled = False
        self._reading = BackgroundReading(inner.read, operations, keep=keep, on_end=self._end)

    def read(self) -> Credentials:
        """Return the credentials last read. Raises `CredentialsError`, also while a reading hangs."""
        if self._reading.stalled:
            self._said_stalled = True
            raise CredentialsError(f"{self._place}: {FileHangsError()}")
        try:
            if not self._reading.read_first():
                self._reading.start()
            return self._reading.latest()
        except FileOperationError as error:
            raise CredentialsError(f"{self._place}: {error}") from None

    def _end(self, changed: bool) -> None:
        if changed or self._said_stalled:
            self._said_stalled = False
            self._on_change()
