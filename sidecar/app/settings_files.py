"""Reads the files that the settings name; when a start has failed, all of them, to report every problem at once.

Imports neither aiohttp nor redis-py: the certificates that they load may be the cause of the failure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from sidecar.config.schema import Settings
from sidecar.config.settings import ProfileSettings
from sidecar.core.errors import ConfigurationError, CredentialsError
from sidecar.core.model import Credentials
from sidecar.core.partner_table import PartnerTable
from sidecar.core.ports import CredentialsSource
from sidecar.credentials.caller_token import first_caller_tokens
from sidecar.credentials.directory import DirectoryCredentials
from sidecar.file_operations import (
    BackgroundReading,
    FileHangsError,
    FileOperationError,
    FileOperations,
    read_at_start,
)
from sidecar.stores.sealing import SealKey, load_seal_keys
from sidecar.token_file_sink.place import refuse_place


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
        self._operations = operations
        self._reading = BackgroundReading(inner.read, operations, keep=keep, on_end=self._end)

    def read(self) -> Credentials:
        """Return the credentials last read. Raises `CredentialsError`, also while a reading hangs."""
        if self._operations.stalled:
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


def problems_with_files(settings: Settings) -> list[str]:
    """Return the problem of each file that cannot be used, in the same words as a start with these settings."""
    found: list[str] = []
    if (keys := settings.seal_key_file) is not None:
        found += _problems(lambda: read_seal_keys(keys))
    if (tokens := settings.caller_token_file) is not None:
        found += _problems(lambda: first_caller_tokens(tokens))
    for one in settings.profiles:
        if (directory := one.credentials_dir) is not None:
            read = mounted_credentials(directory, one.table).read
            problems = _problems(partial(read_at_start, str(directory), read))
            found += (f"profile {one.profile.name}: {problem}" for problem in problems)
        found += _problems(partial(check_token_file, one))
    return found


def mounted_credentials(directory: Path, table: PartnerTable) -> DirectoryCredentials:
    """Return the source of the files that a partner with this table needs."""
    return DirectoryCredentials(
        directory,
        by_private_key=table.client_auth == "private_key_jwt",
        key_may_have_colon=table.key_may_have_colon,
    )


def check_token_file(settings: ProfileSettings) -> None:
    """Check the place of the profile's token file. Blocks, for a limited time. Raises `ConfigurationError`."""
    path, origin = settings.sink_file, settings.sink_file_origin
    if path is not None:
        read_at_start(f"{origin}: {path}", lambda: refuse_place(path, origin))


def read_seal_keys(path: Path) -> tuple[SealKey, ...]:
    """Read the keys at the start. Blocks, for a limited time. Raises `ConfigurationError`."""
    return read_at_start(f"{Settings.seal_key_file.name}: {path}", lambda: load_seal_keys(path))


def _problems(read: Callable[[], object]) -> Sequence[str]:
    try:
        read()
    except (ConfigurationError, CredentialsError) as error:
        return error.problems
    return ()
