"""Checks all files that the settings name when a start has failed, so that every problem is reported at once.

Imports neither aiohttp nor redis-py: the certificates that they load may be the cause of the failure.

The file of seal keys. It is read repeatedly, so keys rotate without a restart.

Reads credentials outside the event loop: a call to a file system that hangs (dead NFS or FUSE) may never return.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from sidecar.config.schema import Settings
from sidecar.config.settings import ProfileSettings
from sidecar.core.errors import ConfigurationError, CredentialsError
from sidecar.core.events import SealKeysChanged, SealKeysUnreadable
from sidecar.core.model import Credentials, Seconds
from sidecar.core.ports import CredentialsSource, EventSink
from sidecar.credentials.caller_token import first_caller_tokens
from sidecar.credentials.directory import DirectoryCredentials
from sidecar.file_operations import (
    BackgroundReading,
    FileHangsError,
    FileOperationError,
    FileOperations,
    FileStalls,
    read_in_time,
)
from sidecar.stores.sealing import AesSealer, SealKey, load_seal_keys
from sidecar.token_file_sink.place import refuse_place

LOOK_EVERY_S: Seconds = 5
"""As for credentials: the kubelet takes up to a minute to change a mounted file."""


def read_seal_keys(path: Path) -> tuple[SealKey, ...]:
    """Read the keys at the start, as `load_seal_keys` does. Raises `ConfigurationError`, also when the file hangs."""
    try:
        return read_in_time(lambda: load_seal_keys(path))
    except FileOperationError as error:
        raise ConfigurationError([f"SIDECAR_SEAL_KEY_FILE: {path}: {error}"]) from None


class SealKeyFile:
    """Gives a sealer the keys of a file, and the keys of every later valid content."""

    def __init__(self, path: Path, sink: EventSink, operations: FileOperations) -> None:
        """Read the file. Raises `ConfigurationError`."""
        self._path = path
        self._sink = sink
        self._operations = operations
        self._problem = ""
        keys = read_seal_keys(path)
        self._in_use = _digest(keys)
        self.sealer = AesSealer(keys)

    async def look(self) -> None:
        """Read the file, without a time limit. Report an invalid file once, and keep the previous keys in use."""
        try:
            keys = await self._operations.start(lambda: load_seal_keys(self._path))
        except (ConfigurationError, FileOperationError) as error:
            problem = "; ".join(str(error).splitlines())
            if problem != self._problem:
                self._problem = problem
                self._sink.emit(SealKeysUnreadable(problem=problem))
            return
        self._problem = ""
        if (found := _digest(keys)) != self._in_use:
            self._in_use = found
            self.sealer.use(keys)
            self._sink.emit(SealKeysChanged(key_ids=tuple(key.key_id for key in keys)))


def _digest(keys: Sequence[SealKey]) -> bytes:
    """Return a digest that detects a change of the keys. Only the ciphers hold the keys themselves."""
    digest = hashlib.blake2b(person=b"seal-keys")
    for key in keys:
        digest.update(f"{key.key_id}:{key.key.reveal()}\n".encode())
    return digest.digest()


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


def problems_with_files(settings: Settings) -> list[str]:
    """Return the problem of each file that cannot be used, in the same words as a start with these settings."""
    found = [*_problems(partial(_seal_keys, settings)), *_problems(partial(_caller_tokens, settings))]
    for profile in settings.profiles:
        found += _credentials_problems(profile)
        found += _problems(partial(check_token_file, profile))
    return found


def check_token_file(settings: ProfileSettings) -> None:
    """Check the place of the profile's token file. Blocks, for a limited time. Raises `ConfigurationError`."""
    path, origin = settings.sink_file, settings.sink_file_origin
    if path is None:
        return
    try:
        read_in_time(lambda: refuse_place(path, origin))
    except FileOperationError as error:
        raise ConfigurationError([f"{origin}: {path}: {error}"]) from None


def _problems(look: Callable[[], None]) -> Sequence[str]:
    try:
        look()
    except ConfigurationError as error:
        return error.problems
    return ()


def _seal_keys(settings: Settings) -> None:
    """Raises `ConfigurationError`."""
    if settings.seal_key_file is not None:
        read_seal_keys(settings.seal_key_file)


def _caller_tokens(settings: Settings) -> None:
    """Raises `ConfigurationError`."""
    if settings.caller_token_file is not None:
        first_caller_tokens(settings.caller_token_file)


def _credentials_problems(settings: ProfileSettings) -> list[str]:
    if (directory := settings.credentials_dir) is None:
        return []
    operations = FileOperations("credentials", FileStalls())
    try:
        BackgroundCredentials(DirectoryCredentials(directory), operations, str(directory)).read()
    except CredentialsError as error:
        return [f"profile {settings.profile.name}: {problem}" for problem in error.problems]
    return []
