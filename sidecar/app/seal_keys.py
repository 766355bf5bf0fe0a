"""The file of seal keys. It is read repeatedly, so keys rotate without a restart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from sidecar.core.errors import ConfigurationError
from sidecar.core.events import SealKeysChanged, SealKeysUnreadable
from sidecar.core.model import Seconds
from sidecar.core.ports import EventSink
from sidecar.file_operations import FileOperationError, FileOperations, read_in_time
from sidecar.stores.sealing import AesSealer, SealKey, load_seal_keys

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
