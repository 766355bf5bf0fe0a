"""The files of seal keys and caller tokens, read again when they change: a rotation needs no restart."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from sidecar.app.observers import Observers
from sidecar.config.schema import Settings
from sidecar.core.errors import ConfigurationError
from sidecar.core.events import CredentialsUnreadable, InternalFailure, SealKeysChanged, SealKeysUnreadable
from sidecar.core.model import Seconds, Secret
from sidecar.core.ports import EventSink
from sidecar.core.safe_traceback import safe_traceback
from sidecar.credentials.caller_token import CallerTokens, read_caller_tokens
from sidecar.file_operations import FileOperationError, FileOperations, read_at_start
from sidecar.secret_file import FileStamp, file_stamp
from sidecar.stores.sealing import AesSealer, OpenSealer, Sealer, SealKey, load_seal_keys

SEAL_KEYS_LOOK_S: Seconds = 5
"""As for credentials: the kubelet takes up to a minute to change a mounted file."""
CALLER_TOKENS_LOOK_S: Seconds = 1
"""A token that was removed from the file is accepted for at most this time."""

T = TypeVar("T")


class WatchedFile(Generic[T]):
    """Passes each new content of a file to `use`. While the content cannot be used, the previous one stays in use."""

    def __init__(
        self,
        setting: str,
        path: Path,
        read: Callable[[Path], T],
        use: Callable[[T], None],
        report: Callable[[str], None],
        operations: FileOperations,
    ) -> None:
        """Read the file and use its content. `read` raises `ConfigurationError`, here too; `report` gets it later."""
        self._path = path
        self._read = read
        self._use = use
        self._report = report
        self._operations = operations
        self._problem = ""
        """The latest reason why no look was possible."""
        self._look_now = asyncio.Event()
        self._stamp, content = read_at_start(f"{setting}: {path}", self._stamp_and_content)
        use(content)

    async def look(self) -> None:
        """Read the file if it has changed, without a time limit. Report each version that cannot be used, once."""
        try:
            found = await self._operations.start(self._read_changed)
        except FileOperationError as error:
            # No thread could be started. The next look tries again.
            if str(error) != self._problem:
                self._problem = str(error)
                self._report(self._problem)
            return
        if found is None:
            return
        self._problem = ""
        self._stamp, outcome = found
        if isinstance(outcome, ConfigurationError):
            self._report("; ".join(outcome.problems))
        else:
            self._use(outcome[0])

    def look_now(self) -> None:
        """Look at once, or as soon as the current look has ended."""
        self._look_now.set()

    async def watch(self, every_s: Seconds, sink: EventSink) -> None:
        """Look every `every_s` seconds until cancelled. A bug in a look is reported, and the next look follows."""
        while True:
            try:
                async with asyncio.timeout(every_s):
                    await self._look_now.wait()
            except TimeoutError:
                pass
            self._look_now.clear()
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - after one bug later rotations must still be detected
                sink.emit(InternalFailure(where="look at a file", trace=safe_traceback(error)))

    def _stamp_and_content(self) -> tuple[FileStamp | None, T]:
        # The stamp is taken before the file is read: a write in between gives another stamp at the next look.
        return file_stamp(self._path), self._read(self._path)

    def _read_changed(self) -> tuple[FileStamp | None, tuple[T] | ConfigurationError] | None:
        """Return the file's stamp and its content or problem; None while the stamp is the same."""
        stamp = file_stamp(self._path)
        if stamp == self._stamp:
            return None
        try:
            return stamp, (self._read(self._path),)
        except ConfigurationError as error:
            return stamp, error


class CallerTokenFile:
    """Called at each request: returns the tokens of the latest look."""

    def __init__(
        self, path: Path, sink: EventSink, operations: FileOperations, register: Callable[[Secret], None]
    ) -> None:
        """`register` is called with each token that was not in the file before. Raises `ConfigurationError`."""
        self._register = register
        self._tokens = CallerTokens(())
        self.file = WatchedFile(
            Settings.caller_token_file.name,
            path,
            read_caller_tokens,
            self._use,
            lambda problem: sink.emit(CredentialsUnreadable(problem=problem)),
            operations,
        )

    def __call__(self) -> CallerTokens:
        return self._tokens

    def _use(self, tokens: Sequence[Secret]) -> None:
        for token in tokens:
            if not self._tokens.accept(token.reveal()):
                self._register(token)
        self._tokens = CallerTokens(tokens)


class SealKeyFile:
    """Gives the keys of a file to its sealer, whose ciphers alone hold them."""

    sealer: AesSealer

    def __init__(self, path: Path, sink: EventSink, operations: FileOperations) -> None:
        """Raises `ConfigurationError`."""
        self._sink = sink
        self._digest = b""
        """Of the keys in use: it detects whether a new content has other keys."""
        self.file = WatchedFile(
            Settings.seal_key_file.name,
            path,
            load_seal_keys,
            self._use,
            lambda problem: sink.emit(SealKeysUnreadable(problem=problem)),
            operations,
        )

    def _use(self, keys: Sequence[SealKey]) -> None:
        text = "".join(f"{key.key_id}:{key.key.reveal()}\n" for key in keys)
        digest = hashlib.blake2b(text.encode(), person=b"seal-keys").digest()
        if not self._digest:
            self.sealer = AesSealer(keys)
        elif digest != self._digest:
            self.sealer.use(keys)
            self._sink.emit(SealKeysChanged(key_ids=tuple(key.key_id for key in keys)))
        self._digest = digest


class WatchedFiles:
    """The files that the settings name."""

    def __init__(self, settings: Settings, observers: Observers) -> None:
        self._settings = settings
        self._observers = observers
        self._sink = observers.sink
        self._watched: list[tuple[WatchedFile[Any], Seconds]] = []

    def sealer(self) -> Sealer:
        """Return the sealer with the keys of the file. Raises `ConfigurationError`."""
        if self._settings.seal_key_file is None:
            return OpenSealer()
        operations = FileOperations("seal-keys", self._observers.stalls)
        keys = SealKeyFile(self._settings.seal_key_file, self._sink, operations)
        self._watched.append((keys.file, SEAL_KEYS_LOOK_S))
        return keys.sealer

    def caller_tokens(self) -> CallerTokenFile | None:
        """Return the file of caller tokens, if one is set. Raises `ConfigurationError`."""
        if self._settings.caller_token_file is None:
            return None
        operations = FileOperations("caller-tokens", self._observers.stalls)
        register = self._observers.redactor.register
        tokens = CallerTokenFile(self._settings.caller_token_file, self._sink, operations, register)
        self._watched.append((tokens.file, CALLER_TOKENS_LOOK_S))
        return tokens

    def look_now(self) -> None:
        for file, _ in self._watched:
            file.look_now()

    def watch(self) -> list[Coroutine[None, None, None]]:
        """Return one coroutine for each file that was opened; each runs until it is cancelled."""
        return [file.watch(every_s, self._sink) for file, every_s in self._watched]
